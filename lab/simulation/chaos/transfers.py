"""The staff in a chaos run who record the transfers that customers have sent, and send back what is to go back."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from random import Random
from threading import Event, Thread

from lab.simulation.chaos.crowd import Crowd
from lab.simulation.chaos.methods import pick
from lab.simulation.chaos.orders import find_orders
from orders.models import Order
from orders.transfers import record_transfer
from payments.manual import name_gateway, record_sent_refund
from payments.models import Payment, TransferRefund

PAUSE = (0.2, 1.0)  # seconds between two looks at the statement
HABITS = {"once": 60, "twice_at_once": 20, "too_little_first": 20}  # how often, out of 100


class TransferDesk:
    """Records a transfer for each order that waits for one, and sends back what is owed, until told to close."""

    def __init__(self, *, run: str, crowd: Crowd, closing: Event) -> None:
        self._run, self._crowd, self._closing = run, crowd, closing

    def work(self) -> None:
        random = Random(self._run)  # noqa: S311
        while not self._closing.wait(random.uniform(*PAUSE)):
            for order in self._find_waiting():
                self._record(order, pick(HABITS, random))
            for refund in self._find_unsent():
                self._send_back(refund)

    def _find_waiting(self) -> list[Order]:
        found: list[Order] = []
        payments = Payment.objects.filter(gateway=name_gateway(), status=Payment.Status.PENDING)
        waiting = find_orders(self._run).filter(status=Order.Status.PENDING, payment__in=payments)
        self._crowd.persist(lambda: found.extend(waiting))
        return found

    def _find_unsent(self) -> list[TransferRefund]:
        found: list[TransferRefund] = []
        codes = find_orders(self._run).values("code")
        unsent = TransferRefund.objects.unsent().filter(transfer__reference__in=codes)
        self._crowd.persist(lambda: found.extend(unsent))
        return found

    def _send_back(self, refund: TransferRefund) -> None:
        today = datetime.now(UTC).date()
        self._crowd.persist(lambda: record_sent_refund(pk=refund.pk, provider_id=f"{refund.key}-sent", sent_on=today))

    def _record(self, order: Order, habit: str) -> None:
        record = self._describe_arrival(order, order.total, "all")
        match habit:
            case "twice_at_once":
                twin = Thread(target=self._crowd.persist, args=[record], daemon=True)
                twin.start()
                self._crowd.persist(record)
                twin.join()
            case "too_little_first":
                self._crowd.persist(self._describe_arrival(order, order.total - 1, "too-little"))
                self._crowd.persist(record)
            case _:
                self._crowd.persist(record)

    def _describe_arrival(self, order: Order, amount: int, name: str) -> Callable[[], object]:
        today, bank_id = datetime.now(UTC).date(), f"{order.code}-{name}"
        return partial(record_transfer, code=order.code, amount=amount, provider_id=bank_id, arrived_on=today)
