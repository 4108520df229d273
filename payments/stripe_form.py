"""Stripe's form for cards, the Payment Element: its script, its sources and its tokens."""

from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from payments.payment_form import PaymentForm

# The release of Stripe.js that belongs to the API version of the SDK. It has to come from Stripe itself.
# https://docs.stripe.com/sdks/stripejs-versioning
STRIPE_JS = "https://js.stripe.com/endive/stripe.js"
# https://docs.stripe.com/security/guide#content-security-policy
STRIPE_SOURCES = {
    "script-src": ["https://js.stripe.com", "https://*.js.stripe.com"],
    "frame-src": ["https://js.stripe.com", "https://*.js.stripe.com", "https://hooks.stripe.com"],
    "connect-src": ["https://api.stripe.com"],
}
# https://docs.stripe.com/testing
TEST_CARDS = {
    "4242 4242 4242 4242": _("pays"),
    "4000 0000 0000 0002": _("is declined"),
    "4000 0000 0000 9995": _("has not enough money"),
    "4000 0027 6000 3184": _("asks for 3-D Secure"),
}


def make_payment_form() -> PaymentForm | None:
    """The form for the account of STRIPE_PUBLISHABLE_KEY, or None without one."""
    key = settings.STRIPE_PUBLISHABLE_KEY
    if not key:
        return None
    script = settings.STRIPE_JS_URL or STRIPE_JS
    return PaymentForm(
        template="payments/stripe_form.html",
        script=script,
        publishable_key=key,
        sources=STRIPE_SOURCES if script == STRIPE_JS else allow_origin(script),
        pattern=r"ctoken_\w{1,57}",
        test_cards=TEST_CARDS if settings.LOCAL and key.startswith("pk_test_") else {},
    )


def allow_origin(url: str) -> dict[str, list[str]]:
    """The sources of a stand-in for Stripe that serves everything from one place."""
    parts = urlsplit(url)
    return {directive: [f"{parts.scheme}://{parts.netloc}"] for directive in STRIPE_SOURCES}
