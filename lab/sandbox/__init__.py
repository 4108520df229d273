"""The sandbox provider: a service of its own that speaks the part of Stripe's API the shop uses."""
