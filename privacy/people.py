"""Who a customer is: an email address, the account that has it, and the orders of both."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth import SESSION_KEY
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from accounts.email_addresses import read_email_address
from accounts.models import User
from accounts.pseudonyms import make_pseudonym
from orders.models import ArchivedOrder, Order
from orders.querysets import OrderQuerySet
from payments.models import WebhookEvent
from payments.webhook_models import WebhookEventQuerySet


@dataclass(frozen=True, kw_only=True)
class Person:
    """`codes`: of all orders, those in the archive as well, whose payments and transfers are still here.

    Another address to which the account has ordered is not the person's: it may be somebody else's.
    """

    email: str
    user: User | None
    codes: tuple[str, ...]

    @property
    def pattern(self) -> str:
        """A regular expression that finds the email in a text, and not within joann@example.com."""
        return rf"(?<![\w.+'-]){re.escape(self.email)}(?!-|\w|\.\w)"


def find_person(email: str) -> Person:
    """The person behind an email in any spelling that the shop takes. Raises ValidationError. There may be nothing."""
    address = read_email_address(email)
    user = User.objects.filter(email=address).first()
    orders = find_orders(address, user).order_by("pk").values_list("code", flat=True)
    archived = find_archived_orders(address).order_by("pk").values_list("code", flat=True)
    return Person(email=address, user=user, codes=(*orders, *archived))


def find_orders(email: str, user: User | None) -> OrderQuerySet:
    """All that were placed with the address, also by a guest, and all of the account."""
    return Order.objects.filter(Q(email=email) | Q(user=user) if user else Q(email=email))


def find_archived_orders(email: str) -> QuerySet[ArchivedOrder]:
    """Those that were placed with the address: the archive knows no accounts."""
    return ArchivedOrder.objects.filter(customer=make_pseudonym(email))


def find_sessions(person: Person) -> Iterator[Session]:
    """The sessions in which the person is logged in, or has ordered. Every session that is valid is read."""
    for session in Session.objects.filter(expire_date__gt=Now()).iterator():
        data = session.get_decoded()
        is_theirs = person.user is not None and data.get(SESSION_KEY) == str(person.user.pk)
        if is_theirs or data.get("email") == person.email or data.get("last_order") in person.codes:
            yield session


def find_webhook_events(person: Person) -> WebhookEventQuerySet:
    """What providers told of the person's orders, or with the person's email in it."""
    return WebhookEvent.objects.filter(Q(reference__in=person.codes) | Q(body__iregex=person.pattern))


def find_answered_calls(person: Person) -> QuerySet[Any]:
    """What the API has answered of the person's orders. The API is above this module, so its model is named."""
    calls: QuerySet[Any] = apps.get_model("api", "AnsweredCall")._default_manager.all()
    named = Q(*(Q(answer__contains=code) | Q(address__contains=code) for code in person.codes), _connector=Q.OR)
    return calls.filter(named) if person.codes else calls.none()


def find_log_entries(person: Person) -> QuerySet[LogEntry]:
    """What staff did in the admin to the account."""
    wanted = Q(object_repr__iregex=person.pattern)
    if person.user:
        wanted |= Q(content_type=ContentType.objects.get_for_model(User), object_id=str(person.user.pk))
    return LogEntry.objects.filter(wanted)
