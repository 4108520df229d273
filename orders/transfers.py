"""What becomes of an order when staff record money that arrived by bank transfer."""

from datetime import date, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from accounts.models import User
from orders.checkout import process_on_commit
from orders.models import Order, OrderEvent
from orders.services import lock_order
from payments.manual import ask_for_refund, name_gateway, record_arrival
from payments.services import announce_payment
from payments.transfers import Transfer


class Recorded(NamedTuple):
    """A transfer, whether it is new, and whether it pays its order: otherwise it is to be sent back."""

    transfer: Transfer
    created: bool
    pays: bool


def record_transfer(
    *, code: str, amount: int, provider_id: str, arrived_on: date, actor: User | None = None, note: str = ""
) -> Recorded:
    """Write down that `amount` minor units arrived for the order, in its currency; the order goes on after the commit.

    One transfer of exactly the total pays an order that waits for it. Any other is to be sent back, and changes nothing
    about the order. The bank's reference is recorded once: a repeat changes nothing. Raises Order.DoesNotExist, or
    TransferReused if something else was recorded under the bank's reference.
    """
    with transaction.atomic(durable=True):
        order = lock_order(code)
        transfer, created = record_arrival(
            reference=code,
            amount=amount,
            currency=order.currency,
            provider_id=provider_id,
            arrived_on=arrived_on,
            actor=actor,
            note=note,
        )
        if not created:
            return Recorded(transfer, created, pays=not transfer.refunds.exists())
        pays = announce_payment(reference=code, gateway=name_gateway(), amount=amount, currency=order.currency)
        if pays:
            Order.objects.filter(pk=order.pk).update(sweep_after=Now() + timedelta(seconds=settings.SWEEP_AFTER))
            process_on_commit(code)
        else:
            ask_for_refund(transfer, key=f"surplus-{transfer.pk}", amount=amount)
        owed = {} if pays else {"owed": amount}
        order.add_event(OrderEvent.Kind.TRANSFER, actor=actor, note=note, amount=amount, transfer=provider_id, **owed)
        return Recorded(transfer, created, pays)
