"""The gateways that the contract is asked of. A new one is added here: docs/gateways.md."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from payments.gateway import Gateway
from tests.payments.contract.relay import Relay

TEST_KEYS = ("sk_test_", "rk_test_")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A gateway, what stands between it and its provider, and the payment methods that the provider has for tests."""

    gateway: Gateway
    relay: Relay
    pays: str
    refunds_later: str  # as pays, but a refund is pending for a while; empty: the provider has nothing of the kind
    refunds_fail: str  # as pays, but a refund fails after it succeeded; empty as above
    declines: Mapping[str, str]  # the code by the payment method
    unknown: Mapping[str, str]  # the code by a payment method that does not exist
    chargeable: Sequence[tuple[int, str]]  # an amount that is taken, and its currency
    declined_amounts: Sequence[tuple[int, str, str]]  # and the code
    refused_amounts: Sequence[tuple[int, str]]  # the provider's rules allow no such amount


DECLINES = {
    "pm_card_visa_chargeDeclined": "generic_decline",
    "pm_card_visa_chargeDeclinedInsufficientFunds": "insufficient_funds",
    "pm_card_visa_chargeDeclinedLostCard": "lost_card",
    "pm_card_visa_chargeDeclinedStolenCard": "stolen_card",
    "pm_card_chargeDeclinedExpiredCard": "expired_card",
    "pm_card_chargeDeclinedIncorrectCvc": "incorrect_cvc",
    "pm_card_chargeDeclinedProcessingError": "processing_error",
}
UNKNOWN = {"pm_nobody_knows": "resource_missing"}
CHARGEABLE = [(1_234, "GBP"), (5_001, "JPY"), (12_003, "KRW"), (500_00, "ISK"), (50_000_00, "UGX")]
DECLINED_AMOUNTS = [(1, "GBP", "amount_too_small"), (1_000_000_000_000, "GBP", "amount_too_large")]
REFUSED_AMOUNTS = [(500_50, "ISK"), (50_000_50, "UGX")]
# What depends on the country of the account, or on the currency of its bank, is asked of the sandbox alone.
SANDBOX_CHARGEABLE = [
    (30, "GBP"),
    (175_00, "HUF"),
    (5_120, "BHD"),
    (10, "KWD"),
    (2**32, "IDR"),
    (10**12 - 1, "KRW"),
]
SANDBOX_DECLINED_AMOUNTS = [
    (29, "GBP", "amount_too_small"),
    (49, "JPY", "amount_too_small"),
    (174_99, "HUF", "amount_too_small"),
    (10**12, "KRW", "amount_too_large"),
]
SANDBOX_REFUSED_AMOUNTS = [(5_124, "BHD"), (5_124, "KWD"), (500, "ZZZ")]


def read_test_key() -> str:
    """The key to Stripe's test mode, empty where there is none. Raises ValueError for a live one: it is never used."""
    key = os.environ.get("STRIPE_TEST_KEY", "")
    if key and not key.startswith(TEST_KEYS):
        raise ValueError(f"STRIPE_TEST_KEY begins with {' or '.join(TEST_KEYS)}. Any other key could take money.")
    return key
