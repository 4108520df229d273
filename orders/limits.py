"""How often one visitor may check out and pay: reserving costs a bot nothing, declines tell which stolen cards work."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import takewhile
from math import ceil
from typing import Any, NamedTuple

import structlog
from django.conf import settings
from django.db.models import QuerySet
from redis.exceptions import RedisError

from accounts.models import User
from orders.checkout import CheckoutKeyReused
from orders.models import Order
from orders.paying import PaymentNumberReused, PaymentRefused
from orders.pricing import CheckoutRefused
from payments.models import Payment
from rate_limit import Limit, LimitReached, find_network, give_turn_back, read_turns, take_turn

logger = structlog.stdlib.get_logger(__name__)

WAIT_FOR_ANSWERS = 10  # seconds; most banks answer within two
SEPARATOR = "\t"  # between the code of an order and the number of its payment; no checkout key has one
UNDER_WAY = 60  # seconds; a request to place an order ends sooner, by the time limits of its statements


class TooManyCheckouts(CheckoutRefused):
    """The visitor has placed as many orders as one may in a while."""

    code = "too_many_checkouts"


class TooManyDeclines(CheckoutRefused):
    """The visitor has tried as many declined cards as one may in a while."""

    code = "too_many_declines"


class Quota(NamedTuple):
    """What is left of one of CHECKOUT_LIMITS: `left` of `most` orders, and more after so many seconds."""

    kind: str
    most: int
    left: int
    seconds: int


@contextmanager
def limit_checkout(
    *, checkout_key: str, ip: str, session_key: str | None = None, user: User | None = None
) -> Iterator[None]:
    """Count the checkout that is made inside, for its session, account and IP address: once, however often it is sent.

    Raises TooManyCheckouts or TooManyDeclines, and then counts nothing. A key whose order is placed is never refused.
    A card counts as declined until its bank has answered; otherwise many at once would pass the limit. A checkout that
    is refused inside is not counted, unless the same key is accepted at the same time. While Redis is down nobody is
    limited: the shop sells.
    """
    placed = Order.objects.filter(checkout_key=checkout_key)
    with _count(checkout_key, dict(_name_subjects(ip, session_key, user)), settings.CHECKOUT_LIMITS, unless=placed):
        yield


@contextmanager
def limit_payment(
    *, code: str, number: int, ip: str, session_key: str | None = None, user: User | None = None
) -> Iterator[None]:
    """Count another payment of an order, as `limit_checkout` counts an order: its card may be declined like any other.

    Only DECLINE_LIMITS refuse it. Raises TooManyDeclines, or TooManyCheckouts while too many cards wait for an answer,
    and then counts nothing.
    """
    paid = Payment.objects.filter(reference=code, number=number)
    with _count(f"{code}{SEPARATOR}{number}", dict(_name_subjects(ip, session_key, user)), {}, unless=paid):
        yield


def read_quotas(*, ip: str, session_key: str | None = None, user: User | None = None) -> list[Quota]:
    """What is left of each limit that the visitor has. Nothing while Redis is down: then nobody is limited."""
    limits, subjects = settings.CHECKOUT_LIMITS, dict(_name_subjects(ip, session_key, user))
    try:
        turns = read_turns(subjects.values(), seconds=settings.LIMIT_WINDOW)
    except RedisError as error:
        logger.warning("nobody can be told what is left", reason=str(error))
        return []
    quotas = []
    for kind, subject in subjects.items():
        if most := limits[kind]:
            ends = turns[subject].values()
            quotas.append(Quota(kind, most, max(0, most - len(ends)), ceil(min(ends, default=0))))
    return quotas


@contextmanager
def _count(
    thing: str, subjects: Mapping[str, str], limits: Mapping[str, int], *, unless: QuerySet[Any]
) -> Iterator[None]:
    """Count the thing that is done inside, unless it was done before, or is refused inside."""
    if unless.exists():
        yield
        return
    taken = _take_turn(thing, subjects, limits)
    try:
        yield
    except (CheckoutRefused, PaymentRefused) as refused:
        # Where its key or number is reused, it was done meanwhile by a request that holds the same turn.
        if taken and not isinstance(refused, CheckoutKeyReused | PaymentNumberReused):
            _give_turn_back(thing, subjects)
        raise


def _take_turn(thing: str, subjects: Mapping[str, str], limits: Mapping[str, int]) -> bool:
    """Return whether a turn was taken. If Redis did not answer, giving one back would take another request's."""
    counts = [Limit(subject, limits.get(kind, 0)) for kind, subject in subjects.items()]
    try:
        take_turn(counts, thing=thing, seconds=settings.LIMIT_WINDOW)
    except RedisError as error:
        logger.warning("checkouts are not limited", reason=str(error))
        return False
    except LimitReached as limit:
        raise TooManyCheckouts("Too many orders in a short time.", retry_after=limit.retry_after) from limit
    try:
        _check_declines(thing, subjects)
    except RedisError as error:
        logger.warning("declines are not limited", reason=str(error))
    except CheckoutRefused:
        _give_turn_back(thing, subjects)
        raise
    return True


def _give_turn_back(thing: str, subjects: Mapping[str, str]) -> None:
    try:
        give_turn_back(subjects.values(), thing=thing)
    except RedisError as error:
        logger.warning("a refused checkout stays counted", reason=str(error))


def _name_subjects(ip: str, session_key: str | None, user: User | None) -> Iterator[tuple[str, str]]:
    """Yield the kind and the name of everything about the visitor that has a limit."""
    names = {
        "session": session_key,
        "account": user and user.pk,
        "ip": ip and find_network(ip),  # empty if no proxy says whose request it is
    }
    for kind, name in names.items():
        if name and (settings.CHECKOUT_LIMITS[kind] or settings.DECLINE_LIMITS[kind]):
            yield kind, f"checkout:{kind}:{name}"


def _check_declines(thing: str, subjects: Mapping[str, str]) -> None:
    """Raises TooManyDeclines, or TooManyCheckouts if the limit is reached only with the cards that wait for an answer.

    Our own turn is taken already, and only the turns before it are counted. So each of several checkouts at the same
    time sees all that came before it, and no more of them go on than may be declined.
    """
    # Redis knows who asked. What became of it, only the rows know.
    limited = {subject: limit for kind, subject in subjects.items() if (limit := settings.DECLINE_LIMITS[kind])}
    turns = read_turns(limited, seconds=settings.LIMIT_WINDOW)
    before = {subject: _list_turns_before(thing, window) for subject, window in turns.items()}
    statuses = _read_statuses({key for window in before.values() for key in window})
    for subject, limit in limited.items():
        tried = [(statuses.get(key), seconds) for key, seconds in before[subject].items()]
        declined = sorted(seconds for status, seconds in tried if status == Payment.Status.DECLINED)
        if len(declined) >= limit:
            raise TooManyDeclines("Too many cards were declined.", retry_after=int(declined[-limit]) + 1)
        if len(declined) + sum(_may_be_declined(status, seconds) for status, seconds in tried) >= limit:
            raise TooManyCheckouts("Too many orders wait for their bank.", retry_after=WAIT_FOR_ANSWERS)


def _list_turns_before(thing: str, window: Mapping[str, float]) -> dict[str, float]:
    return dict(takewhile(lambda turn: turn[0] != thing, window.items()))


def _read_statuses(things: Collection[str]) -> dict[str, str]:
    """The status of each payment: by checkout key of an order's first one, by code and number of the others."""
    orders = Order.objects.filter(checkout_key__in=things)
    present = orders.values_list("checkout_key", "payment__number", "payment__status")
    # Where there is a later payment, the first was declined.
    statuses = {key: status if number == 1 else Payment.Status.DECLINED for key, number, status in present}
    if codes := {thing.partition(SEPARATOR)[0] for thing in things if SEPARATOR in thing}:
        others = Payment.objects.filter(reference__in=codes).values_list("reference", "number", "status")
        statuses |= {f"{code}{SEPARATOR}{number}": status for code, number, status in others}
    return statuses


def _may_be_declined(status: str | None, seconds_left: float) -> bool:
    if status is None:  # not placed: still under way, or given up, as by a server that was killed
        return settings.LIMIT_WINDOW - seconds_left < UNDER_WAY
    return status in Payment.UNANSWERED
