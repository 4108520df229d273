"""Requests to Stripe by its SDK: it knows the wire and the errors, and the answers are plain JSON."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

import stripe
from django.conf import settings

from payments.curl import CurlClient

stripe.enable_telemetry = False  # it writes a file into the home folder

Answer = dict[str, Any]  # a payment intent, a refund, a page of a list


def created_within(since: datetime, until: datetime | None) -> dict[str, int]:
    """The param of a list that begins at `since` and ends before `until`: Stripe counts in whole seconds."""
    return {"gte": int(since.timestamp())} | ({"lt": int(until.timestamp())} if until else {})


class StripeApi:
    """One instance serves all threads. The errors of all its methods are the SDK's, or TypeError for what is no JSON
    object."""

    def __init__(self) -> None:
        self._http = CurlClient(timeout=settings.STRIPE_TIMEOUT)
        self._client = stripe.StripeClient(
            settings.STRIPE_API_KEY,
            base_addresses={"api": settings.STRIPE_API_BASE} if settings.STRIPE_API_BASE else {},
            http_client=self._http,
            max_network_retries=0,  # the sweep asks again, and it is counted
        )

    def deadline(self, seconds: float | None = None) -> AbstractContextManager[None]:
        """As CurlClient.deadline."""
        return self._http.deadline(seconds)

    def ask(self, method: str, path: str, **params: Any) -> Answer:
        """The answer as it is: the SDK's objects take longer to make than the request to write."""
        answer = self._client.raw_request(method, path, **params).data
        if not isinstance(answer, dict):
            raise TypeError(f"no object, but {str(answer)[:50]!a}")
        return answer

    def ask_for_all(self, path: str, **params: Any) -> Iterator[Answer]:
        """Every object of a list, page after page."""
        while True:
            page = self.ask("get", path, limit=100, **params)
            yield from page["data"]
            if not page["has_more"]:
                return
            params["starting_after"] = page["data"][-1]["id"]
