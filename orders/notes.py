"""What staff write down about an order, before and after its end. It changes nothing else."""

from accounts.models import User
from orders.models import Order, OrderEvent


def add_note(*, code: str, actor: User, note: str) -> Order:
    """Add the note to the order's events, for staff. Raises Order.DoesNotExist."""
    order = Order.objects.get(code=code)
    order.add_event(OrderEvent.Kind.NOTED, actor=actor, note=note)
    return order
