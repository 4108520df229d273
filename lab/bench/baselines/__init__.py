"""Shops as they are often built, to be measured beside this one. Neither survives a crash: sell nothing with them."""
