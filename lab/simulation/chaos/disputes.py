"""The customers' banks in a chaos run: they take money of confirmed orders back, and decide later whose it is."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from threading import Event
from typing import Any, Literal

import stripe
from django.conf import settings

from audit.services import Violation
from lab.simulation.chaos.crowd import Crowd
from lab.simulation.chaos.methods import pick
from lab.simulation.chaos.orders import find_orders
from orders.models import Order
from payments.dispute_models import Dispute
from payments.disputes import STATUSES
from payments.gateway import get_gateway
from payments.models import Payment
from payments.stripe_api import StripeApi

GATEWAY = "stripe"
PAUSE = (0.3, 1.2)  # seconds between two looks at the customers' letters
LATEST = 20  # one of so many confirmed orders is disputed
DECIDED = 0.3  # of the open disputes at each look
ENDS = {"win": 40, "lose": 40, "win lose": 20}  # out of 100: some banks change their mind
DECISIONS = {"win": Dispute.Status.WON, "lose": Dispute.Status.LOST}
AGAIN = 0.1  # seconds until a request is repeated
TIMEOUT = 5.0  # seconds, also of an answer that trickles


@dataclass
class Claim:
    """A dispute of the order's charge: what its bank has decided, and what it is still going to decide."""

    code: str
    ends: list[str]
    dispute: str = ""  # its id, once it is open
    status: str = ""


class DisputeDesk:
    """Opens disputes of charges until told to stop, and decides each of them until told to close."""

    def __init__(self, *, run: str, crowd: Crowd, stopping: Event, closing: Event) -> None:
        self.claims: list[Claim] = []
        self._changed_at: dict[str, float] = {}  # by the order's code
        self._provider = StripeApi()
        self._run, self._crowd, self._stopping, self._closing = run, crowd, stopping, closing

    def work(self) -> None:
        random = Random(self._run)  # noqa: S311
        while not self._closing.wait(random.uniform(*PAUSE)):
            if not self._stopping.is_set():
                self._open_one(random)
            for claim in [claim for claim in self.claims if claim.ends]:
                if self._stopping.is_set() or random.random() < DECIDED:
                    self._decide(claim)

    def is_settled(self) -> bool:
        """Whether each dispute is decided, and the shop has heard how."""
        decided = {claim.dispute: claim.status for claim in self.claims if not claim.ends}
        known: dict[str, str] = {}
        rows = Dispute.objects.filter(provider_id__in=decided).values_list("provider_id", "status")
        is_read = self._crowd.persist(lambda: known.update(rows))
        return is_read and known == decided and len(decided) == len(self.claims)

    def explains(self, violation: Violation) -> bool:
        """Whether the audit misses only news of disputes that the shop has not heard yet.

        The provider does not say when a dispute changed, so the audit can't wait for it as it waits for a new one.
        """
        since = time.monotonic() - settings.SWEEP_GRACE
        changed = {code for code, at in self._changed_at.copy().items() if at > since}
        return violation["invariant"] == "A10" and changed.issuperset(violation["codes"])

    def find_problems(self) -> Iterator[str]:
        """Say in words which disputes the shop knows otherwise than the provider."""
        payments = Payment.objects.filter(gateway=GATEWAY, order__in=find_orders(self._run))
        ours = set(payments.exclude(provider_id=None).values_list("provider_id", flat=True))
        made = [dispute for dispute in get_gateway(GATEWAY).list_disputes() if dispute.charge_id in ours]
        there = {dispute.provider_id: (dispute.amount, STATUSES[dispute.status]) for dispute in made}
        rows = Dispute.objects.filter(payment__in=payments).values_list("provider_id", "amount", "status")
        here = {provider_id: (amount, status) for provider_id, amount, status in rows}
        for dispute in there.keys() | here.keys() | {claim.dispute for claim in self.claims}:
            if there.get(dispute) != here.get(dispute) or dispute not in there:
                yield f"{dispute}: {there.get(dispute)} at the provider, {here.get(dispute)} in the shop"
            elif there[dispute][1] == Dispute.Status.OPEN:
                yield f"{dispute}: nobody has decided it"

    def _open_one(self, random: Random) -> None:
        payments: list[Payment] = []
        confirmed = find_orders(self._run).filter(status=Order.Status.CONFIRMED, payment__gateway=GATEWAY)
        others = confirmed.exclude(code__in=[claim.code for claim in self.claims])
        latest = others.select_related("payment").order_by("-pk")[:LATEST]
        self._crowd.persist(lambda: payments.extend(order.payment for order in latest))
        if payments:
            payment = random.choice(payments)
            claim = Claim(payment.reference, pick(ENDS, random).split())
            self.claims.append(claim)
            self._open(claim, payment, random.choice([payment.amount, random.randint(1, payment.amount)]))

    def _open(self, claim: Claim, payment: Payment, amount: int) -> None:
        about = {"payment_intent": str(payment.provider_id)}
        while not claim.dispute and not self._closing.wait(AGAIN):
            self._note_change(claim)
            if found := self._ask("get", "disputes", **about).get("data"):
                claim.dispute = found[0]["id"]
            else:
                self._ask("post", "test_helpers/disputes", **about, amount=amount)

    def _decide(self, claim: Claim) -> None:
        end, path = claim.ends[0], f"disputes/{claim.dispute}"
        while claim.status != DECISIONS[end] and not self._closing.wait(AGAIN):
            self._note_change(claim)
            self._ask("post", f"test_helpers/{path}/{end}")
            claim.status = self._ask("get", path).get("status", claim.status).upper()
        claim.ends.pop(0)

    def _note_change(self, claim: Claim) -> None:
        self._changed_at[claim.code] = time.monotonic()

    def _ask(self, method: Literal["get", "post"], path: str, **params: object) -> dict[str, Any]:
        """The provider's answer; empty where there is none, or a refusal."""
        with suppress(stripe.StripeError, TypeError), self._provider.deadline(TIMEOUT):
            return self._provider.ask(method, f"/v1/{path}", **params)
        return {}
