"""Who a customer is: an email address, the account that has it, and the orders of both."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.conf import settings
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
    """`codes`: of the orders, also of those in the archive, whose payments are still here.

    Another address on an order of the account may be anybody's: what else is there of it is not the person's.
    """

    email: str
    user: User | None
    codes: tuple[str, ...]


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
    return ArchivedOrder.objects.filter(customer=make_pseudonym(email))


def find_sessions(person: Person, *, since: datetime | None = None) -> Iterator[Session]:
    """The sessions in which the person is logged in, or has ordered. With a time, only what was written since then.

    Each session is read to know whose it is, and 200,000 take half a minute.
    """
    sessions = Session.objects.filter(expire_date__gt=Now())
    if since:  # a session ends so long after it was written last, by the clock of whichever machine wrote it
        age = timedelta(seconds=settings.SESSION_COOKIE_AGE - settings.CLOCK_SKEW)
        sessions = sessions.filter(expire_date__gte=since + age)
    for session in sessions.iterator():
        data = session.get_decoded()
        is_theirs = person.user is not None and data.get(SESSION_KEY) == str(person.user.pk)
        if is_theirs or data.get("email") == person.email or data.get("last_order") in person.codes:
            yield session


def find_webhook_events(person: Person) -> WebhookEventQuerySet:
    """What providers told of the person's orders, or with an address of the person in it."""
    return WebhookEvent.objects.filter(Q(reference__in=person.codes) | _has_email("body", person))


def find_answered_calls(person: Person) -> QuerySet[Any]:
    """What the API has answered of the person's orders. The API is above this module, so its model is named."""
    of_orders = (Q(answer__contains=code) | Q(address__contains=code) for code in person.codes)
    texts = Q(_has_email("answer", person), *of_orders, _connector=Q.OR)
    return apps.get_model("api", "AnsweredCall")._default_manager.filter(texts)


def find_log_entries(person: Person) -> QuerySet[LogEntry]:
    """What staff did in the admin to the account."""
    of_account = Q(content_type=ContentType.objects.get_for_model(User), object_id=str(person.user and person.user.pk))
    return LogEntry.objects.filter(of_account | _has_email("object_repr", person))


def _has_email(column: str, person: Person) -> Q:
    """The whole address, in any case: that of somebody else may begin or end with it."""
    whole = rf"(?<![\w.+'-]){re.escape(person.email)}(?![\w-]|\.\w)"
    return Q(**{f"{column}__icontains": person.email, f"{column}__iregex": whole})
