"""How much one visitor may check out: holds are free stock for bots, and declines a way to try out stolen cards."""

import logging
from collections.abc import Iterator, Mapping

from django.conf import settings
from redis.exceptions import RedisError

from accounts.models import User
from orders.basket import CheckoutRefused
from orders.models import Order
from payments.models import Payment
from rate_limit import Limit, LimitReached, find_network, read_turns, take_turn

logger = logging.getLogger(__name__)


class TooManyCheckouts(CheckoutRefused):
    """As many orders as one visitor may place for now."""

    code = "too_many_checkouts"


class TooManyDeclines(CheckoutRefused):
    """As many declined cards as one visitor may try for now."""

    code = "too_many_declines"


def limit_checkout(*, checkout_key: str, ip: str, session_key: str | None = None, user: User | None = None) -> None:
    """Count a checkout for its session, account and address, once however often it is sent.

    Raises TooManyCheckouts or TooManyDeclines, having counted nothing; never for a key whose order is placed. Where
    Redis is down nobody is limited: the shop sells.
    """
    if Order.objects.filter(checkout_key=checkout_key).exists():
        return
    subjects = dict(_name_subjects(ip, session_key, user))
    try:
        _check_declines(subjects)
        limits = [Limit(subject, settings.CHECKOUT_LIMITS[kind]) for kind, subject in subjects.items()]
        take_turn(limits, thing=checkout_key, seconds=settings.LIMIT_WINDOW)
    except RedisError as error:
        logger.warning("checkouts are not limited: %s", error)
    except LimitReached as limit:
        raise TooManyCheckouts("Too many orders in a short time.", retry_after=limit.retry_after) from limit


def _name_subjects(ip: str, session_key: str | None, user: User | None) -> Iterator[tuple[str, str]]:
    if session_key:
        yield "session", f"checkout:session:{session_key}"
    if user:
        yield "account", f"checkout:account:{user.pk}"
    if ip:  # none: through a socket file, and no proxy said whose the request is
        yield "address", f"checkout:address:{find_network(ip)}"


def _check_declines(subjects: Mapping[str, str]) -> None:
    # Redis has who asked; what became of it only the rows know.
    turns = read_turns(subjects.values(), seconds=settings.LIMIT_WINDOW)
    keys = {key for window in turns.values() for key in window}
    declined = set(
        Order.objects.filter(checkout_key__in=keys, payment__status=Payment.Status.DECLINED).values_list(
            "checkout_key", flat=True
        )
    )
    for kind, subject in subjects.items():
        most = settings.DECLINE_LIMITS[kind]
        leaving = sorted(seconds for key, seconds in turns[subject].items() if key in declined)
        if 0 < most <= len(leaving):
            raise TooManyDeclines("Too many cards were declined.", retry_after=int(leaving[-most]) + 1)
