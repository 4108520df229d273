"""What is no part of a shop in production: its servers and processes, the provider's stand-in, simulated days."""
