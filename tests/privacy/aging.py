"""Orders of long ago."""

from events_out.feed import move_horizon
from orders.models import Order
from tests.builders import tamper

YEAR = 365  # days


def age_everything(days: int = YEAR) -> None:
    """Let all that has happened have happened so many days before, and let everybody have been told of it."""
    move_horizon()
    age_events(days)
    tamper("UPDATE orders_ordermail SET sent_at = now()")
    tamper("UPDATE orders_disputemail SET sent_at = now()")
    for column in ("created_at", "finalized_at", "expires_at"):
        tamper(f"UPDATE orders_order SET {column} = {column} - make_interval(days => %s)", days)  # noqa: S608


def age_events(days: int = YEAR) -> None:
    tamper("UPDATE orders_orderevent SET created_at = created_at - make_interval(days => %s)", days)


def list_codes() -> set[str]:
    return set(Order.objects.values_list("code", flat=True))
