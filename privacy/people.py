"""Who a customer is: an email address, the account that has it, and the orders of both."""

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
from accounts.pseudonyms import is_pseudonym
from orders.models import Order
from orders.querysets import OrderQuerySet
from payments.models import WebhookEvent
from payments.webhook_models import WebhookEventQuerySet


@dataclass(frozen=True, kw_only=True)
class Person:
    """`emails`: all addresses under which the person has ordered. `codes`: of the orders."""

    email: str
    emails: frozenset[str]
    user: User | None
    codes: tuple[str, ...]


def find_person(email: str) -> Person:
    """The person behind an email in any spelling that the shop takes. Raises ValidationError. There may be nothing."""
    address = read_email_address(email)
    user = User.objects.filter(email=address).first()
    orders = find_orders(address, user)
    emails = {address, *(email for email in orders.values_list("email", flat=True) if not is_pseudonym(email))}
    codes = tuple(orders.order_by("pk").values_list("code", flat=True))
    return Person(email=address, emails=frozenset(emails), user=user, codes=codes)


def find_orders(email: str, user: User | None) -> OrderQuerySet:
    """All that were placed with the address, also by a guest, and all of the account."""
    return Order.objects.filter(Q(email=email) | Q(user=user) if user else Q(email=email))


def find_sessions(person: Person) -> Iterator[Session]:
    """The sessions in which the person is logged in, or has ordered. Every session that is valid is read."""
    for session in Session.objects.filter(expire_date__gt=Now()).iterator():
        data = session.get_decoded()
        is_theirs = person.user is not None and data.get(SESSION_KEY) == str(person.user.pk)
        if is_theirs or data.get("email") in person.emails or data.get("last_order") in person.codes:
            yield session


def find_webhook_events(person: Person) -> WebhookEventQuerySet:
    """What providers told of the person's orders, or with an address of the person in it."""
    texts = Q(*(Q(body__icontains=email) for email in person.emails), _connector=Q.OR)
    return WebhookEvent.objects.filter(Q(reference__in=person.codes) | texts)


def find_answered_calls(person: Person) -> QuerySet[Any]:
    """What the API has answered of the person's orders. The API is above this module, so its model is named."""
    words = (*person.emails, *person.codes)
    texts = Q(*(Q(answer__icontains=word) | Q(address__contains=word) for word in words), _connector=Q.OR)
    return apps.get_model("api", "AnsweredCall")._default_manager.filter(texts)


def find_log_entries(person: Person) -> QuerySet[LogEntry]:
    """What staff did in the admin to the account."""
    of_account = Q(content_type=ContentType.objects.get_for_model(User), object_id=str(person.user and person.user.pk))
    texts = Q(*(Q(object_repr__icontains=email) for email in person.emails), _connector=Q.OR)
    return LogEntry.objects.filter(of_account | texts)
