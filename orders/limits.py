"""How often one visitor may check out: reserving costs a bot nothing, and declines tell which stolen cards work."""

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import takewhile

from django.conf import settings
from redis.exceptions import RedisError

from accounts.models import User
from orders.checkout import CheckoutKeyReused
from orders.models import Order
from orders.pricing import CheckoutRefused
from payments.models import Payment
from rate_limit import Limit, LimitReached, find_network, give_turn_back, read_turns, take_turn

logger = logging.getLogger(__name__)

WAIT_FOR_ANSWERS = 10  # seconds; most banks answer within two
UNDER_WAY = 60  # seconds; a request to place an order ends sooner, by the time limits of its statements


class TooManyCheckouts(CheckoutRefused):
    """The visitor has placed as many orders as one may in a while."""

    code = "too_many_checkouts"


class TooManyDeclines(CheckoutRefused):
    """The visitor has tried as many declined cards as one may in a while."""

    code = "too_many_declines"


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
    if Order.objects.filter(checkout_key=checkout_key).exists():
        yield
        return
    subjects = dict(_name_subjects(ip, session_key, user))
    taken = _take_turn(checkout_key, subjects)
    try:
        yield
    except CheckoutRefused as refused:
        if taken and not isinstance(refused, CheckoutKeyReused):  # under that key there is an order
            _give_turn_back(checkout_key, subjects)
        raise


def _take_turn(checkout_key: str, subjects: Mapping[str, str]) -> bool:
    """Return whether a turn was taken. If Redis did not answer, giving one back would take another request's."""
    limits = [Limit(subject, settings.CHECKOUT_LIMITS[kind]) for kind, subject in subjects.items()]
    try:
        take_turn(limits, thing=checkout_key, seconds=settings.LIMIT_WINDOW)
    except RedisError as error:
        logger.warning("checkouts are not limited: %s", error)
        return False
    except LimitReached as limit:
        raise TooManyCheckouts("Too many orders in a short time.", retry_after=limit.retry_after) from limit
    try:
        _check_declines(checkout_key, subjects)
    except RedisError as error:
        logger.warning("declines are not limited: %s", error)
    except CheckoutRefused:
        _give_turn_back(checkout_key, subjects)
        raise
    return True


def _give_turn_back(checkout_key: str, subjects: Mapping[str, str]) -> None:
    try:
        give_turn_back(subjects.values(), thing=checkout_key)
    except RedisError as error:
        logger.warning("a refused checkout stays counted: %s", error)


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


def _check_declines(checkout_key: str, subjects: Mapping[str, str]) -> None:
    """Raises TooManyDeclines, or TooManyCheckouts if the limit is reached only with the cards that wait for an answer.

    Our own turn is taken already, and only the turns before it are counted. So each of several checkouts at the same
    time sees all that came before it, and no more of them go on than may be declined.
    """
    # Redis knows who asked. What became of it, only the rows know.
    limited = {subject: limit for kind, subject in subjects.items() if (limit := settings.DECLINE_LIMITS[kind])}
    turns = read_turns(limited, seconds=settings.LIMIT_WINDOW)
    before = {subject: _list_turns_before(checkout_key, window) for subject, window in turns.items()}
    statuses = _read_statuses({key for window in before.values() for key in window})
    for subject, limit in limited.items():
        tried = [(statuses.get(key), seconds) for key, seconds in before[subject].items()]
        declined = sorted(seconds for status, seconds in tried if status == Payment.Status.DECLINED)
        if len(declined) >= limit:
            raise TooManyDeclines("Too many cards were declined.", retry_after=int(declined[-limit]) + 1)
        if len(declined) + sum(_may_be_declined(status, seconds) for status, seconds in tried) >= limit:
            raise TooManyCheckouts("Too many orders wait for their bank.", retry_after=WAIT_FOR_ANSWERS)


def _list_turns_before(checkout_key: str, window: Mapping[str, float]) -> dict[str, float]:
    return dict(takewhile(lambda turn: turn[0] != checkout_key, window.items()))


def _read_statuses(keys: Collection[str]) -> dict[str, str]:
    """By checkout key: the payment's status of each checkout that has an order."""
    return dict(Order.objects.filter(checkout_key__in=keys).values_list("checkout_key", "payment__status"))


def _may_be_declined(status: str | None, seconds_left: float) -> bool:
    if status is None:  # not placed: still under way, or given up, as by a server that was killed
        return settings.LIMIT_WINDOW - seconds_left < UNDER_WAY
    return status in Payment.UNANSWERED
