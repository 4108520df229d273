"""What Stripe's disputes mean: the money is gone, is back, or stays gone."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote

from payments.gateway import ProviderDispute
from payments.stripe_answers import read_code, read_currency, read_number
from payments.stripe_api import Answer, StripeApi, created_within

DISPUTES = "/v1/disputes"
# https://docs.stripe.com/api/disputes/object#dispute_object-status. A warning is a bank's question before it takes any
# money. What is not named here nobody has heard of, so it is unknown.
STATUSES: dict[str, Literal["open", "won", "lost"]] = {
    "warning_needs_response": "open",
    "warning_under_review": "open",
    "warning_closed": "won",
    "needs_response": "open",
    "under_review": "open",
    "won": "won",
    "lost": "lost",
    "prevented": "won",
}


def retrieve_dispute(api: StripeApi, dispute_id: str) -> Answer:
    return api.ask("get", f"{DISPUTES}/{quote(dispute_id, safe='')}")


def find_disputes(api: StripeApi, since: datetime, *, until: datetime | None = None) -> Iterator[Answer]:
    """Stripe's disputes that were opened in this time, newest first."""
    return api.ask_for_all(DISPUTES, created=created_within(since, until))


def as_dispute(dispute: Answer) -> ProviderDispute:
    respond_by = dispute["evidence_details"]["due_by"]
    return ProviderDispute(
        provider_id=read_code(dispute["id"]),
        charge_id=read_code(dispute["payment_intent"] or dispute["charge"]),
        amount=read_number(dispute["amount"]),
        currency=read_currency(dispute["currency"]),
        reason=read_code(dispute["reason"]),
        status=STATUSES[dispute["status"]],
        respond_by=None if respond_by is None else datetime.fromtimestamp(read_number(respond_by), UTC),
        created_at=datetime.fromtimestamp(read_number(dispute["created"]), UTC),
    )
