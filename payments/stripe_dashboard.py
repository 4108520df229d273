"""Stripe's pages for the shop's staff."""

from urllib.parse import quote

from django.conf import settings

DASHBOARD = "https://dashboard.stripe.com"


def make_payment_url(provider_id: str) -> str | None:
    """The payment's page, in the mode of the key; None where somebody stands in for Stripe."""
    if settings.STRIPE_API_BASE:
        return None
    mode = "/test" if "_test_" in settings.STRIPE_API_KEY else ""
    return f"{DASHBOARD}{mode}/payments/{quote(provider_id, safe='')}"
