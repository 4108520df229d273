"""The words in which a customer is told why a card was declined."""

from django.utils.translation import gettext as _


def explain_decline(code: str) -> str:
    """Put the provider's decline code into words that help a customer.

    Nobody is told that a card is reported as stolen, as https://docs.stripe.com/declines/codes asks.
    """
    words = {
        "insufficient_funds": _("Your card was declined: there is not enough money on it."),
        "expired_card": _("Your card was declined: it has expired."),
        "incorrect_cvc": _("Your card was declined: the security code is not right."),
        "processing_error": _("Your bank could not process the card just now."),
        "resource_missing": _("This payment method does not exist."),
        "confirmation_token_invalid": _("The details of your card have expired, or were used before."),
        "amount_too_small": _("This is less than can be paid by card."),
        "authentication_required": _("Your card was declined: it asks for a confirmation that we can't take."),
        "payment_intent_authentication_failure": _("Your bank could not confirm that it is you who pays."),
    }
    return words.get(code, _("Your card was declined."))
