"""Limits how often a visitor may try passwords, which could be guessed, and ask for mails, which fill a mailbox."""

from uuid import uuid4

import structlog
from django.conf import settings
from redis.exceptions import RedisError

from rate_limit import Limit, find_network, take_turn

logger = structlog.stdlib.get_logger(__name__)


def limit_log_in(*, email: str, ip: str) -> None:
    """Count a try to log in. Raises LimitReached. While Redis is down, everybody may try.

    The tries on an account are counted for each IP address, so that a stranger can't lock out its owner.
    """
    if ip:
        _count("log-in", settings.LOG_IN_LIMITS, account=f"{email}:{find_network(ip)}", ip=ip)


def limit_mail(*, kind: str, email: str, ip: str) -> None:
    """Count a mail that a visitor asks for. Raises LimitReached. While Redis is down, all mails are sent."""
    _count(f"mail:{kind}", settings.MAIL_LIMITS, account=email, ip=ip)


def _count(what: str, max_counts: dict[str, int], *, account: str, ip: str) -> None:
    limits = [Limit(f"{what}:account:{account}", max_counts["account"])]
    if ip:
        limits.append(Limit(f"{what}:ip:{find_network(ip)}", max_counts["ip"]))
    try:
        take_turn(limits, thing=uuid4().hex, seconds=settings.LIMIT_WINDOW)
    except RedisError as error:
        logger.warning("tries are not limited", what=what, reason=str(error))
