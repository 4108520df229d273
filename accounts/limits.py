"""How often one visitor may try passwords and have mails sent: guessing is cheap, and so is filling a mailbox."""

import logging
from uuid import uuid4

from django.conf import settings
from redis.exceptions import RedisError

from rate_limit import Limit, find_network, take_turn

logger = logging.getLogger(__name__)


def limit_log_in(*, email: str, ip: str) -> None:
    """Count a try to log in. Raises LimitReached; where Redis is down, everybody may try.

    An account's tries are counted by IP address, so that nobody can lock out its owner.
    """
    if ip:
        _count("log-in", settings.LOG_IN_LIMITS, account=f"{email}:{find_network(ip)}", ip=ip)


def limit_mail(*, kind: str, email: str, ip: str) -> None:
    """Count a mail that a visitor asks for. Raises LimitReached; where Redis is down, all are sent."""
    _count(f"mail:{kind}", settings.MAIL_LIMITS, account=email, ip=ip)


def _count(what: str, most: dict[str, int], *, account: str, ip: str) -> None:
    limits = [Limit(f"{what}:account:{account}", most["account"])]
    if ip:
        limits.append(Limit(f"{what}:ip:{find_network(ip)}", most["ip"]))
    try:
        take_turn(limits, thing=uuid4().hex, seconds=settings.LIMIT_WINDOW)
    except RedisError as error:
        logger.warning("%s is not limited: %s", what, error)
