"""All that the shop holds of one person, as the law has it given to them: docs/privacy.md lists it."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import AccountMail, User
from accounts.token_models import ApiToken
from audit.models import Difference
from events_out.models import Delivery, DeliveryTry
from privacy.people import (
    Person,
    find_answered_calls,
    find_archived_orders,
    find_log_entries,
    find_person,
    find_sessions,
    find_webhook_events,
)
from privacy.records import describe_orders

SECRETS = {"password"}  # nobody is told, the person neither


def export_customer(*, email: str) -> dict[str, Any]:
    """Everything of the person behind the email, in JSON's types and times. Changes nothing. Raises ValidationError.

    Orders are whole: lines, payments, refunds, disputes, events with notes, mails. Of orders in the archive it has the
    codes and the files.
    """
    person = find_person(email)
    return {
        "email": person.email,
        "exported_at": timezone.now(),
        "account": _describe_account(person),
        "orders": describe_orders(person.codes),
        "archived_orders": _describe(find_archived_orders(person.email)),
        "account_mails": _describe(AccountMail.objects.filter(email=person.email)),
        "webhook_events": _describe(find_webhook_events(person)),
        "deliveries": _describe(Delivery.objects.filter(order__code__in=person.codes)),
        "delivery_tries": _describe(DeliveryTry.objects.filter(delivery__order__code__in=person.codes)),
        "differences": _describe(Difference.objects.filter(reference__in=person.codes)),
        "answered_calls": _describe(find_answered_calls(person)),
        "sessions": [
            {"expires_at": session.expire_date, "data": session.get_decoded()} for session in find_sessions(person)
        ],
        "log_entries": _describe(find_log_entries(person)),
    }


def _describe_account(person: Person) -> dict[str, Any] | None:
    if person.user is None:
        return None
    [account] = _describe(User.objects.filter(pk=person.user.pk))
    groups = list(person.user.groups.order_by("name").values_list("name", flat=True))
    tokens = ApiToken.objects.filter(created_by=person.user).order_by("name").values_list("name", flat=True)
    return account | {"groups": groups, "api_tokens": list(tokens)}


def _describe(rows: QuerySet[Any, Any]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in SECRETS} for row in rows.order_by("pk").values()]
