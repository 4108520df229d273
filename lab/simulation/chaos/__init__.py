"""A chaos run: a crowd of customers buys while a stack is struck, and then everything must have come out right."""
