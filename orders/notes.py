"""What staff write down about an order, before and after its end. It changes nothing else."""

from django.db import transaction

from accounts.models import User
from orders.models import Order, OrderEvent
from orders.services import lock_order


def add_note(*, code: str, actor: User, note: str) -> Order:
    """Add the note to the order's events, for staff. Raises Order.DoesNotExist, also once the order is archived."""
    with transaction.atomic():
        order = lock_order(code)  # whoever archives it meanwhile waits for the note, or has it refused
        order.add_event(OrderEvent.Kind.NOTED, actor=actor, note=note)
    return order
