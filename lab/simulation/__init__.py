"""Simulated days of a shop: invoices replayed as customers, a demonstration, and chaos."""
