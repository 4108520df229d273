"""How the customers of a chaos run pay, and how often each way is taken."""

from collections.abc import Mapping
from random import Random

TRANSFER = "transfer"  # to the gateway `manual`
# Out of 106.
METHODS = {
    "pm_card_visa": 50,
    "pm_card_visa_chargeDeclined": 8,
    "pm_card_chargeDeclinedExpiredCard": 2,
    "pm_sandbox_slow": 6,
    "pm_sandbox_drop": 6,
    "pm_sandbox_hang": 2,
    "pm_sandbox_500_before": 2,
    "pm_sandbox_500_after": 5,
    "pm_sandbox_processing": 6,
    "pm_sandbox_processing_declined": 3,
    "pm_card_authenticationRequired": 6,
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": 2,
    "pm_sandbox_action_processing": 2,
    TRANSFER: 6,
}
# Out of 100, of those who pay again after a decline.
METHODS_AGAIN = {
    "pm_card_visa": 45,
    "pm_card_visa_chargeDeclined": 20,
    "pm_sandbox_slow": 5,
    "pm_sandbox_drop": 10,
    "pm_sandbox_500_after": 5,
    "pm_sandbox_processing": 5,
    TRANSFER: 10,
}
ASKING = {
    "pm_card_authenticationRequired",
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
    "pm_sandbox_action_processing",
}


def describe_method(method: str) -> dict[str, str]:
    """The fields of a request that say how it is paid."""
    return {"payment_method": method} | ({"gateway": "manual"} if method == TRANSFER else {})


def pick(weights: Mapping[str, int], random: Random) -> str:
    return random.choices(list(weights), list(weights.values()))[0]
