"""The strikes of a chaos run: which there are, when they come, and how each of them hits a running stack."""
