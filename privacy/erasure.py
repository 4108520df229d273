"""Erases a customer's data wherever they stand: privacy.fields lists every place. Amounts, SKUs and ids stay."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import AccountMail, User
from accounts.pseudonyms import DOMAIN, ERASED, make_pseudonym
from audit.models import Difference
from events_out.models import Delivery, DeliveryTry
from orders.checkout import lock_customer
from orders.models import Order, OrderMail
from payments.models import Dispute, Payment, Refund, Transfer, TransferRefund, WebhookEvent
from privacy.models import Erasure
from privacy.people import (
    Person,
    find_answered_calls,
    find_archived_orders,
    find_log_entries,
    find_orders,
    find_person,
    find_sessions,
    find_webhook_events,
)

IDS = ("id", "object", "payment_intent")  # of what a provider told: all that a later look may ask for
Counts = dict[str, int]

ERASE_NOTES = """
UPDATE orders_orderevent event SET data = data || jsonb_build_object('note', %(erased)s::text)
FROM orders_order o
WHERE o.id = event.order_id AND o.code = ANY(%(codes)s) AND jsonb_exists(data, 'note') AND data ->> 'note' <> %(erased)s
"""


class ErasureRefused(Exception):
    """Nothing was changed. `code` is stable, and the text says which orders are meant."""

    code = ""


class OrderIsPending(ErasureRefused):
    """An order has not ended: its customer still has to be reached."""

    code = "order_pending"


class RefundIsOpen(ErasureRefused):
    """Money is on its way back to the customer."""

    code = "refund_open"


class DisputeIsOpen(ErasureRefused):
    """The customer's bank has not decided, and may ask for evidence."""

    code = "dispute_open"


class IsStaff(ErasureRefused):
    """The account is one of staff: whoever manages those has to end its rights first."""

    code = "account_of_staff"


def erase_customer(*, email: str, actor: User | None = None, dry_run: bool = False) -> Counts:
    """Erase all data of the person behind the email, in one transaction. Return how many rows of each kind.

    What is left says `make_pseudonym(email)` in place of the address. The account is deactivated, and its sessions end.
    A repeat finds nothing, and changes nothing. A dry run counts, and changes nothing. A checkout of the person waits
    for the erasure, or the other way round; one that has no limit of unpaid orders does not: ask find_left afterwards.
    Raises an ErasureRefused or ValidationError, having changed nothing.
    """
    with transaction.atomic():
        # First, while nobody is locked out: to read all sessions takes longest.
        started = timezone.now()
        sessions = [session.pk for session in find_sessions(find_person(email))]
        person = _lock_person(email)
        _check(person)
        counts = {name: erase(person) for name, erase in STEPS.items()}
        counts["sessions"] = _end_sessions(person, known=sessions, since=started)
        counts = {name: count for name, count in counts.items() if count}
        if counts:
            Erasure.objects.create(customer=make_pseudonym(person.email), actor=actor, counts=counts)
        transaction.set_rollback(dry_run)
    return counts


def find_left(*, email: str) -> tuple[str, ...]:
    """The codes of orders that the person has: after an erasure, of those that were placed meanwhile or since."""
    return find_person(email).codes


def _lock_person(email: str) -> Person:
    """Its checkouts, its orders and its account, so that nothing begins meanwhile of what an erasure is refused for.

    In this order: a checkout has its customer's lock first, and whoever cancels an order has the order's, and names the
    account in its event.
    """
    person = find_person(email)
    lock_customer(person.email)
    if person.user:
        lock_customer(person.user.pk)
    list(find_orders(person.email, person.user).select_for_update().order_by("pk").values("pk"))
    list(User.objects.select_for_update().filter(email=person.email).values("pk"))
    return find_person(email)  # as it is now that nobody changes it


def _check(person: Person) -> None:
    if person.user and (person.user.is_staff or person.user.is_superuser):
        raise IsStaff("This is an account of staff.")
    orders = Order.objects.filter(code__in=person.codes)
    refunds = Refund.objects.filter(payment__reference__in=person.codes, recorded_at=None)
    sent_back = TransferRefund.objects.unsent().filter(transfer__reference__in=person.codes)
    disputes = Dispute.objects.open().filter(payment__reference__in=person.codes)
    _refuse_if(OrderIsPending, orders.pending().values_list("code", flat=True))
    _refuse_if(RefundIsOpen, refunds.values_list("payment__reference", flat=True))
    _refuse_if(RefundIsOpen, sent_back.values_list("transfer__reference", flat=True))
    _refuse_if(DisputeIsOpen, disputes.values_list("payment__reference", flat=True))


def _refuse_if(refusal: type[ErasureRefused], codes: Any) -> None:
    if found := sorted(set(codes)):
        raise refusal(", ".join(found))


def _erase_orders(person: Person) -> int:
    known = Order.objects.filter(code__in=person.codes).exclude(email__endswith=DOMAIN, metadata={})
    return known.update(email=make_pseudonym(person.email), metadata={})


def _erase_notes(person: Person) -> int:
    with connection.cursor() as cursor:
        cursor.execute(ERASE_NOTES, {"erased": ERASED, "codes": list(person.codes)})
        return int(cursor.rowcount)


def _close_mails(person: Person) -> int:
    """Those that were not sent yet: there is no address any more."""
    return OrderMail.objects.filter(order__code__in=person.codes, sent_at=None).update(sent_at=Now())


def _erase_errors(person: Person) -> int:
    payments = Payment.objects.filter(reference__in=person.codes).exclude(last_error="")
    refunds = Refund.objects.filter(payment__reference__in=person.codes).exclude(last_error="")
    return payments.update(last_error="") + refunds.update(last_error="")


def _erase_transfers(person: Person) -> int:
    return Transfer.objects.filter(reference__in=person.codes).exclude(note__in=["", ERASED]).update(note=ERASED)


def _erase_differences(person: Person) -> int:
    written = Difference.objects.filter(reference__in=person.codes).exclude(note__in=["", ERASED], last_error="")
    return written.update(note=ERASED, last_error="")


def _erase_deliveries(person: Person) -> int:
    answered = Delivery.objects.filter(order__code__in=person.codes).exclude(answer="", last_error="")
    tried = DeliveryTry.objects.filter(delivery__order__code__in=person.codes).exclude(error="")
    return answered.update(answer="", last_error="") + tried.update(error="")


def _erase_webhook_events(person: Person) -> int:
    """The rows stay, so that an event that comes once more is known and not stored again."""
    count = 0
    for event in find_webhook_events(person):
        body = _strip(event)
        if body != event.body:
            count += WebhookEvent.objects.filter(pk=event.pk).update(body=body)
    return count


def _strip(event: WebhookEvent) -> str:
    """A body of any other shape, whatever it says, leaves an empty object."""
    return json.dumps({"data": {"object": {name: found for name in IDS if (found := event.read_id(name))}}})


def _erase_answered_calls(person: Person) -> int:
    count = 0
    for call in find_answered_calls(person):
        match json.loads(call.answer):
            case {"metadata": metadata, **rest} if metadata:
                call.answer = json.dumps({**rest, "metadata": {}})
                call.save(update_fields=["answer"])
                count += 1
    return count


def _delete_account_mails(person: Person) -> int:
    return AccountMail.objects.filter(email=person.email).delete()[0]


def _end_sessions(person: Person, *, known: Sequence[str], since: datetime) -> int:
    """The known ones, and those that were written since these were looked for."""
    keys = {*known, *(session.pk for session in find_sessions(person, since=since))}
    return Session.objects.filter(pk__in=keys).delete()[0]


def _erase_log(person: Person) -> int:
    name = make_pseudonym(person.email)
    return find_log_entries(person).exclude(object_repr=name).update(object_repr=name, change_message="")


def _erase_account(person: Person) -> int:
    """Also the address that somebody else's account had before."""
    others = User.objects.filter(verified_email=person.email).exclude(email=person.email)
    count = others.update(verified_email="")
    if (user := person.user) is None:
        return count
    user.email, user.verified_email = f"account-{user.pk}@{DOMAIN}", ""
    user.first_name = user.last_name = ""
    user.is_active, user.last_login = False, None
    user.set_unusable_password()
    user.save()
    user.groups.clear()
    user.user_permissions.clear()
    return count + 1


def _forget_archived(person: Person) -> int:
    return find_archived_orders(person.email).update(customer="")


# The account last: the others find by it.
STEPS: dict[str, Callable[[Person], int]] = {
    "orders": _erase_orders,
    "notes": _erase_notes,
    "mails": _close_mails,
    "errors": _erase_errors,
    "transfers": _erase_transfers,
    "differences": _erase_differences,
    "deliveries": _erase_deliveries,
    "webhook_events": _erase_webhook_events,
    "answered_calls": _erase_answered_calls,
    "account_mails": _delete_account_mails,
    "log_entries": _erase_log,
    "archived_orders": _forget_archived,
    "accounts": _erase_account,
}
