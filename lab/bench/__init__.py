"""What the shop costs and how fast it is, beside designs that promise less: `python -m lab.stack bench`."""
