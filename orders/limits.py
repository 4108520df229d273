"""How much one visitor may check out: holds are free stock for bots, and declines a way to try out stolen cards."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from django.conf import settings
from redis.exceptions import RedisError

from accounts.models import User
from catalog.services import InsufficientStock
from orders.basket import CheckoutRefused
from orders.checkout import CheckoutKeyReused
from orders.models import Order
from payments.models import Payment
from rate_limit import Limit, LimitReached, find_network, give_turn_back, read_turns, take_turn

logger = logging.getLogger(__name__)


class TooManyCheckouts(CheckoutRefused):
    """As many orders as one visitor may place for now."""

    code = "too_many_checkouts"


class TooManyDeclines(CheckoutRefused):
    """As many declined cards as one visitor may try for now."""

    code = "too_many_declines"


@contextmanager
def limit_checkout(
    *, checkout_key: str, ip: str, session_key: str | None = None, user: User | None = None
) -> Iterator[None]:
    """Count the checkout that is made within for its session, account and IP address, once however often it is sent.

    Raises TooManyCheckouts or TooManyDeclines, having counted nothing; never for a key whose order is placed. What is
    refused within is not counted, unless it is sent at the same time and not refused there. Where Redis is down nobody
    is limited: the shop sells.
    """
    if Order.objects.filter(checkout_key=checkout_key).exists():
        yield
        return
    subjects = dict(_name_subjects(ip, session_key, user))
    taken = _take_turn(checkout_key, subjects)
    try:
        yield
    except (CheckoutRefused, InsufficientStock) as refused:
        if taken and not isinstance(refused, CheckoutKeyReused):  # under that key there is an order
            _give_turn_back(checkout_key, subjects)
        raise


def _take_turn(checkout_key: str, subjects: Mapping[str, str]) -> bool:
    """Whether there is a turn to give back: where Redis did not answer, another request's would be taken."""
    limits = [Limit(subject, settings.CHECKOUT_LIMITS[kind]) for kind, subject in subjects.items()]
    try:
        _check_declines(subjects)
        take_turn(limits, thing=checkout_key, seconds=settings.LIMIT_WINDOW)
    except RedisError as error:
        logger.warning("checkouts are not limited: %s", error)
        return False
    except LimitReached as limit:
        raise TooManyCheckouts("Too many orders in a short time.", retry_after=limit.retry_after) from limit
    return True


def _give_turn_back(checkout_key: str, subjects: Mapping[str, str]) -> None:
    try:
        give_turn_back(subjects.values(), thing=checkout_key)
    except RedisError as error:
        logger.warning("a refused checkout stays counted: %s", error)


def _name_subjects(ip: str, session_key: str | None, user: User | None) -> Iterator[tuple[str, str]]:
    """By their kinds, those that have a limit."""
    names = {
        "session": session_key,
        "account": user and user.pk,
        "ip": ip and find_network(ip),  # empty where no proxy says whose the request is
    }
    for kind, name in names.items():
        if name and (settings.CHECKOUT_LIMITS[kind] or settings.DECLINE_LIMITS[kind]):
            yield kind, f"checkout:{kind}:{name}"


def _check_declines(subjects: Mapping[str, str]) -> None:
    # Redis has who asked; what became of it only the rows know.
    limited = {subject: most for kind, subject in subjects.items() if (most := settings.DECLINE_LIMITS[kind])}
    turns = read_turns(limited, seconds=settings.LIMIT_WINDOW)
    keys = {key for window in turns.values() for key in window}
    orders = Order.objects.filter(checkout_key__in=keys, payment__status=Payment.Status.DECLINED)
    declined = set(orders.values_list("checkout_key", flat=True))
    for subject, most in limited.items():
        leaving = sorted(seconds for key, seconds in turns[subject].items() if key in declined)
        if len(leaving) >= most:
            raise TooManyDeclines("Too many cards were declined.", retry_after=int(leaving[-most]) + 1)
