"""The test cards that a checkout offers while the sandbox takes the money. A title says what its card does."""


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
}
