"""The test cards: those that a checkout offers by what they do, and those that are typed into a card form."""


def gettext_noop(title: str) -> str:
    """Mark a title to be translated. Django's own needs settings, and the stack has none yet."""
    return title


TEST_CARDS = {
    "pm_card_visa": gettext_noop("Test card: pays"),
    "pm_sandbox_slow": gettext_noop("Test card: pays, slowly"),
    "pm_sandbox_processing": gettext_noop("Test card: the bank takes its time, then pays"),
    "pm_sandbox_drop": gettext_noop("Test card: pays, but the answer is lost"),
    "pm_card_visa_chargeDeclined": gettext_noop("Test card: declined"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": gettext_noop("Test card: declined, not enough money"),
    "pm_sandbox_500_before": gettext_noop("Test card: the provider fails"),
    "pm_card_authenticationRequired": gettext_noop("Test card: asks for 3-D Secure"),
}

# Stripe's test numbers, and the payment methods that do the same: https://docs.stripe.com/testing
CARD_NUMBERS = {
    "4242424242424242": "pm_card_visa",
    "5555555555554444": "pm_card_mastercard",
    "4000000000000002": "pm_card_visa_chargeDeclined",
    "4000000000009995": "pm_card_visa_chargeDeclinedInsufficientFunds",
    "4000000000009987": "pm_card_visa_chargeDeclinedLostCard",
    "4000000000009979": "pm_card_visa_chargeDeclinedStolenCard",
    "4000000000000069": "pm_card_chargeDeclinedExpiredCard",
    "4000000000000127": "pm_card_chargeDeclinedIncorrectCvc",
    "4000000000000119": "pm_card_chargeDeclinedProcessingError",
    "4000002500003155": "pm_card_authenticationRequiredOnSetup",
    "4000002760003184": "pm_card_authenticationRequired",
    "4000008260003178": "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
    "4000002500003007": "pm_sandbox_action_processing",  # Stripe has no such number
    "4000000000003220": "pm_card_threeDSecure2Required",
}
