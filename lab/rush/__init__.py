"""A rush: thousands of visitors come for a few units, with the waiting room or without it."""
