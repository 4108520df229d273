"""The mails of a chaos run, held against what the stack's mail server took."""

from collections.abc import Iterator
from pathlib import Path

from django.db.models import QuerySet

from lab.simulation.chaos.orders import find_orders
from lab.simulation.strikes.mail_server import read_taken
from orders.dispute_mails import name_message
from orders.dispute_models import DisputeMail
from orders.models import OrderMail


def find_mails(run: str) -> QuerySet[OrderMail]:
    """The mails of the run that have to go out. One that says how to pay is closed unsent once the money has come."""
    return OrderMail.objects.filter(order__in=find_orders(run)).exclude(kind=OrderMail.Kind.INSTRUCTIONS)


def count_mails(run: str, folder: Path) -> dict[str, int | None]:
    """Mails noted as sent, those owed, and those that the stack's mail server took; None where it has none."""
    mails = find_mails(run)
    sent, taken = mails.filter(sent_at__isnull=False).count(), read_taken(folder)
    return {"sent": sent, "owed": mails.count() - sent, "taken": None if taken is None else len(taken)}


def find_lost_mails(run: str, folder: Path) -> Iterator[str]:
    """Those that are noted as sent, and that the stack's mail server never took."""
    # In this order: mails still go out, and one that is noted as sent was taken before.
    sent = dict(_find_sent(run))
    if (taken := read_taken(folder)) is None:
        return
    for message_id, what in sent.items():
        if message_id not in taken:
            yield f"the mail that says {what} is noted as sent, and was not taken"


def _find_sent(run: str) -> Iterator[tuple[str, str]]:
    for mail in find_mails(run).filter(sent_at__isnull=False).select_related("order", "refund"):
        yield f"{mail.order.code}.{mail.name}", f"{mail.name} of {mail.order.code}"
    to_staff = DisputeMail.objects.filter(dispute__payment__order__in=find_orders(run), sent_at__isnull=False)
    for tells in to_staff.select_related("dispute"):
        yield name_message(tells), str(tells)
