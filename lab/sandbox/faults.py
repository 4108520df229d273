"""Decides what goes wrong: a payment method's token for its own request, the control endpoint for all of them."""

import os
from dataclasses import dataclass, replace
from typing import Any

from lab.sandbox.database import Connection
from lab.sandbox.messages import Request
from lab.sandbox.tokens import find_method

SLOW_SECONDS = float(os.environ.get("SANDBOX_SLOW_SECONDS", "2"))
HANG_SECONDS = float(os.environ.get("SANDBOX_HANG_SECONDS", "60"))
TRICKLE_SECONDS = float(os.environ.get("SANDBOX_TRICKLE_SECONDS", "1"))  # from byte to byte
PROCESSING_SECONDS = float(os.environ.get("SANDBOX_PROCESSING_SECONDS", "3"))

Control = dict[str, Any]  # as it was when the request came
CALM: Control = {"fault": None, "times": None, "latency_ms": 0, "webhooks": []}
CONTROL_FAULTS = ("down", "decline", "slow", "500_before", "500_after", "drop", "hang", "trickle")
WEBHOOK_FAULTS = ("twice", "late", "shuffled", "never")


@dataclass(frozen=True, kw_only=True)
class Decline:
    """The bank's no, as Stripe words it: a code and, where the issuer gave a reason, a decline code."""

    code: str
    decline_code: str | None
    message: str


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How one request is answered. Trouble strikes the request that runs, never its replay."""

    needs_action: bool = False  # the customer acts first; what follows says how it goes then
    decline: Decline | None = None
    processing: bool = False
    delay: float = 0  # seconds before anything happens, the key in flight
    trouble: str | None = None  # 500_before, 500_after, drop, hang or trickle


def declined(decline_code: str | None, message: str, *, code: str = "card_declined") -> Behaviour:
    return Behaviour(decline=Decline(code=code, decline_code=decline_code, message=message))


GENERIC = declined("generic_decline", "Your card was declined.")
POOR = declined("insufficient_funds", "Your card has insufficient funds.")
NEEDS_ACTION = Behaviour(needs_action=True)
# In its place with `error_on_requires_action`.
NEEDS_AUTHENTICATION = declined(
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
    code="authentication_required",
)
PROCESSING_ERROR = "An error occurred while processing your card. Try again in a little bit."

# The pm_card_ tokens are Stripe's own test tokens: https://docs.stripe.com/testing
TOKENS = {
    "pm_card_visa": Behaviour(),
    "pm_card_mastercard": Behaviour(),
    "pm_card_amex": Behaviour(),
    "pm_card_visa_chargeDeclined": GENERIC,
    "pm_card_visa_chargeDeclinedInsufficientFunds": POOR,
    "pm_card_visa_chargeDeclinedLostCard": declined("lost_card", "Your card was declined."),
    "pm_card_visa_chargeDeclinedStolenCard": declined("stolen_card", "Your card was declined."),
    "pm_card_chargeDeclinedExpiredCard": declined(None, "Your card has expired.", code="expired_card"),
    "pm_card_chargeDeclinedIncorrectCvc": declined(
        None, "Your card's security code is incorrect.", code="incorrect_cvc"
    ),
    "pm_card_chargeDeclinedProcessingError": declined(None, PROCESSING_ERROR, code="processing_error"),
    "pm_card_pendingRefund": Behaviour(),
    "pm_card_refundFail": Behaviour(),
    "pm_card_authenticationRequired": NEEDS_ACTION,
    "pm_card_authenticationRequiredOnSetup": NEEDS_ACTION,
    "pm_card_threeDSecure2Required": NEEDS_ACTION,
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": replace(POOR, needs_action=True),
    "pm_sandbox_action_processing": Behaviour(needs_action=True, processing=True),
    "pm_sandbox_action_500_after": Behaviour(needs_action=True, trouble="500_after"),
    "pm_sandbox_slow": Behaviour(delay=SLOW_SECONDS),
    "pm_sandbox_500_before": Behaviour(trouble="500_before"),
    "pm_sandbox_500_after": Behaviour(trouble="500_after"),
    "pm_sandbox_drop": Behaviour(trouble="drop"),
    "pm_sandbox_hang": Behaviour(trouble="hang"),
    "pm_sandbox_trickle": Behaviour(trouble="trickle"),
    "pm_sandbox_processing": Behaviour(processing=True),
    "pm_sandbox_processing_declined": replace(GENERIC, processing=True),
}


def read_control(connection: Connection) -> Control:
    return connection.execute("SELECT fault, times, latency_ms, webhooks FROM control").fetchone() or CALM


def set_control(
    connection: Connection, *, fault: str | None, times: int | None, latency_ms: int, webhooks: list[str]
) -> None:
    """Let `fault` strike the next `times` requests, or all where it is None, and every request wait `latency_ms`.

    `webhooks` strike each event that is to be sent.
    """
    connection.execute(
        """INSERT INTO control (fault, times, latency_ms, webhooks) VALUES (%s, %s, %s, %s)
           ON CONFLICT (only_row) DO UPDATE
           SET fault = EXCLUDED.fault, times = EXCLUDED.times, latency_ms = EXCLUDED.latency_ms,
               webhooks = EXCLUDED.webhooks""",
        [fault, times, latency_ms, webhooks],
    )


def clear_control(connection: Connection) -> None:
    connection.execute("DELETE FROM control")


def take_fault(connection: Connection, control: Control, *among: str) -> str | None:
    """The fault in force, if it is one of `among`; a fault that strikes a number of times is used up by one."""
    if control["fault"] not in among or control["times"] is None:
        return control["fault"] if control["fault"] in among else None
    row = connection.execute(
        "UPDATE control SET times = times - 1 WHERE fault = %s AND times > 0 RETURNING fault", [control["fault"]]
    ).fetchone()
    return row["fault"] if row else None


def choose_behaviour(connection: Connection, request: Request, control: Control) -> Behaviour:
    """How a POST that is about to run goes: as its payment method says if it confirms, unless control overrides.

    Raises InvalidRequest for a confirmation token that can't be used.
    """
    confirms = request.params.get("confirm") == "true"
    chosen = TOKENS.get(find_method(connection, request) or "", Behaviour()) if confirms else Behaviour()
    among = ("slow", "500_before", "500_after", "drop", "hang", *(["decline"] if confirms else []))
    match take_fault(connection, control, *among):
        case None:
            return chosen
        case "decline":
            return GENERIC
        case "slow":
            return replace(chosen, delay=SLOW_SECONDS)
        case trouble:
            return replace(chosen, trouble=trouble)
