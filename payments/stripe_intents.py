"""Stripe's payment intents: one by its id, those of a time, and those that were made for a payment."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import BoundedSemaphore
from urllib.parse import quote

from payments.gateway import MAX_CLOCK_DIFFERENCE, ChargeRequest, GatewayUnavailable
from payments.stripe_answers import is_of
from payments.stripe_api import Answer, StripeApi, created_within

INTENTS = "/v1/payment_intents"

# A list has a page for each 100 payments of more than an hour: too many for the time of a charge, and no reason to keep
# the threads from charging others.
LOOK_UP_TIMEOUT = 30.0  # seconds
LOOK_UPS = 2  # at the same time in one process


class StripeIntents:
    """Reads intents. One instance serves all threads. The errors are those of StripeApi."""

    def __init__(self, api: StripeApi) -> None:
        self._api = api
        self._look_ups = BoundedSemaphore(LOOK_UPS)

    def retrieve(self, intent_id: str) -> Answer:
        return self._api.ask("get", f"{INTENTS}/{quote(intent_id, safe='')}", expand=["latest_charge"])

    def list_since(self, since: datetime, *, until: datetime | None = None) -> Iterator[Answer]:
        """Every intent, newest first."""
        return self._api.ask_for_all(INTENTS, created=created_within(since, until), expand=["data.latest_charge"])

    def find(self, request: ChargeRequest, *, within: float = LOOK_UP_TIMEOUT) -> Answer | None:
        """The intent that decides: one that took money before one that still may, and that before a cancelled one."""
        rank = {"succeeded": 0, "canceled": 2}
        found = self.find_all(request, within=within)
        return min(found, key=lambda intent: rank.get(intent["status"], 1), default=None)

    def find_all(self, request: ChargeRequest, *, within: float = LOOK_UP_TIMEOUT) -> list[Answer]:
        """Every intent of the payment. Raises GatewayUnavailable while too many others are looked up."""
        # By listing, which shows what was just written; Stripe's search may be a minute behind.
        with self._look_up(within):
            made = self.list_since(request.sent_at - MAX_CLOCK_DIFFERENCE)
            return [intent for intent in made if is_of(intent, request)]

    @contextmanager
    def _look_up(self, seconds: float) -> Iterator[None]:
        if not self._look_ups.acquire(blocking=False):
            raise GatewayUnavailable("other payments are being looked up in the provider's list")
        try:
            with self._api.deadline(seconds):
                yield
        finally:
            self._look_ups.release()
