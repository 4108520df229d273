"""All that the shop holds of one person, as the law has it given to them: docs/privacy.md lists it."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import AccountMail, User
from accounts.token_models import ApiToken
from audit.models import Difference
from events_out.models import Delivery, DeliveryTry
from payments.models import WebhookEvent
from privacy.people import (
    Person,
    find_answered_calls,
    find_archived_orders,
    find_log_entries,
    find_person,
    find_sessions,
    find_webhook_events,
)
from privacy.records import Record, describe_orders, replace_notes

SECRETS = {"password"}  # nobody is told, the person neither
LEFT_OUT = "[left out: it may be about others, too]"


def export_customer(*, email: str) -> dict[str, Any]:
    """Everything of the person behind the email, in JSON's types and times. Changes nothing. Raises ValidationError.

    Orders are whole: lines, payments, refunds, disputes, events with notes, mails. Of orders in the archive it has the
    codes and the files.
    """
    person = find_person(email)
    return {
        **_describe_person(person),
        "webhook_events": _describe(find_webhook_events(person)),
        "answered_calls": _describe(find_answered_calls(person)),
        "sessions": [
            {"expires_at": session.expire_date, "data": _describe_session(session.get_decoded())}
            for session in find_sessions(person)
        ],
        "log_entries": _describe(find_log_entries(person)),
    }


def export_own_data(*, user: User, session: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a customer who asks for it, but for what a person has to read before it is given out.

    No note of staff is in it, nor their entries about the account, nor the texts of the provider's errors, nor what the
    servers of others have answered to events, nor what is found by looking for the address in the texts of all events,
    calls and sessions: many may ask at a time. Their own session is.
    """
    person = find_person(user.email)
    described = _describe_person(person)
    return described | {
        "orders": [_leave_out_of_order(order) for order in described["orders"]],
        "differences": _leave_out(described["differences"], "note", "last_error"),
        "deliveries": _leave_out(described["deliveries"], "answer", "last_error"),
        "delivery_tries": _leave_out(described["delivery_tries"], "error"),
        "webhook_events": _describe(WebhookEvent.objects.filter(reference__in=person.codes)),
        "sessions": [{"data": _describe_session(session)}],
    }


def _describe_person(person: Person) -> dict[str, Any]:
    """What is found by the person's address, account and orders, with no search through texts."""
    return {
        "email": person.email,
        "exported_at": timezone.now(),
        "account": _describe_account(person),
        "orders": describe_orders(person.codes),
        "archived_orders": _describe(find_archived_orders(person.email)),
        "account_mails": _describe(AccountMail.objects.filter(email=person.email)),
        "deliveries": _describe(Delivery.objects.filter(order__code__in=person.codes)),
        "delivery_tries": _describe(DeliveryTry.objects.filter(delivery__order__code__in=person.codes)),
        "differences": _describe(Difference.objects.filter(reference__in=person.codes)),
    }


def _describe_session(data: Mapping[str, Any]) -> dict[str, Any]:
    """What the shop keeps there. Django's own names begin with _, and one of them leads to a new password."""
    return {name: value for name, value in data.items() if not name.startswith("_")}


def _leave_out_of_order(order: Record) -> Record:
    """Why a card was declined stays, as a code. The text of an error names machines and accounts of the shop."""
    return replace_notes(order, LEFT_OUT) | {
        "payments": _leave_out(order["payments"], "last_error", "in_flight_by"),
        "refunds": _leave_out(order["refunds"], "last_error"),
    }


def _leave_out(rows: list[Record], *names: str) -> list[Record]:
    return [row | {name: LEFT_OUT for name in names if row[name]} for row in rows]


def _describe_account(person: Person) -> dict[str, Any] | None:
    if person.user is None:
        return None
    [account] = _describe(User.objects.filter(pk=person.user.pk))
    groups = list(person.user.groups.order_by("name").values_list("name", flat=True))
    tokens = ApiToken.objects.filter(created_by=person.user).order_by("name").values_list("name", flat=True)
    return account | {"groups": groups, "api_tokens": list(tokens)}


def _describe(rows: QuerySet[Any, Any]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in SECRETS} for row in rows.order_by("pk").values()]
