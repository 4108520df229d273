"""Customers in a chaos run whose card was declined while their order is held: they pay again, or leave."""

from collections import Counter
from collections.abc import Iterator
from random import Random
from threading import Lock, Thread
from typing import NamedTuple

from lab.simulation.chaos.methods import METHODS_AGAIN, describe_method, pick
from lab.simulation.chaos.orders import find_orders
from lab.simulation.chaos.watching import watch_order
from lab.simulation.replay import Shop
from payments.models import Payment

HOLD = 20  # seconds that an order is held after a decline
TRIES = 4  # payments of one order; then its customer leaves
HABITS = {"once": 60, "twice_at_once": 25, "leave": 15}  # out of 100
FAIR_REFUSALS = {"order_has_ended", "order_is_not_held"}  # it was cancelled, or the time was over


class Wish(NamedTuple):
    """A payment after a decline. It is asked for until that is answered."""

    code: str
    number: int


class Payers:
    """They ask for payments of held orders, and know what each was answered."""

    def __init__(self, *, run: str, shop: Shop, shop_url: str) -> None:
        self.told: set[Wish] = set()  # those that were answered with their order
        self.refused: Counter[str] = Counter()
        self.methods: dict[Wish, str] = {}  # as it was asked for
        self._new: Counter[Wish] = Counter()  # how often each was called new
        self._run, self._shop, self._shop_url = run, shop, shop_url
        self._lock = Lock()

    def pay_until_taken(self, code: str, random: Random, *, patience: float) -> None:
        """After each decline pay in another way, some of them twice at once, until that is enough."""
        for order in watch_order(self._shop_url, code, patience=patience):
            match order:
                case {"payment": {"status": "DECLINED", "number": int(number)}} if number < TRIES:
                    if not self._pay(Wish(code, number + 1), random):
                        return

    def ask(self, wish: Wish) -> None:
        """Ask for the payment until that is answered. It may have been asked for before."""
        body = {"number": wish.number, **describe_method(self.methods[wish])}
        answer = self._shop.pay_again(wish.code, body)
        with self._lock:
            if answer.code:
                self.told.add(wish)
                self._new[wish] += answer.is_new
            else:
                self.refused[answer.refused] += 1

    def find_problems(self) -> Iterator[str]:
        """Say in words which payments are not as their customers know them."""
        payments = Payment.objects.filter(reference__in=find_orders(self._run).values("code"), number__gt=1)
        known = {Wish(payment.reference, payment.number): payment.payment_method for payment in payments}
        for wish in known.keys() | self.told:
            if known.get(wish) != self.methods.get(wish):
                yield f"{wish}: {self.methods.get(wish)} was asked for, the shop has {known.get(wish)}"
            if self._new[wish] > 1:
                yield f"{wish} was called new {self._new[wish]} times"
        if unfair := {code: number for code, number in self.refused.items() if code not in FAIR_REFUSALS}:
            yield f"payments refused: {unfair}"

    def _pay(self, wish: Wish, random: Random) -> bool:
        """Whether the customer stays."""
        habit = pick(HABITS, random)
        if wish in self.methods or habit == "leave":
            return habit != "leave"
        self.methods[wish] = pick(METHODS_AGAIN, random)
        twins = [Thread(target=self.ask, args=[wish], daemon=True) for _ in range(2 if habit == "twice_at_once" else 1)]
        for twin in twins:
            twin.start()
        for twin in twins:
            twin.join()
        return True
