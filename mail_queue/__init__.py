"""Mails that are owed: rows that are claimed one at a time, sent within a time limit, and tried again later."""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from threading import current_thread, main_thread
from time import monotonic
from types import FrameType
from typing import NoReturn, TypeVar

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import models, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

logger = logging.getLogger(__name__)


class QueuedMail(models.Model):
    """A mail that is owed to somebody: written with what it tells of, sent afterwards."""

    created_at = models.DateTimeField(_("created at"), db_default=Now())
    send_after = models.DateTimeField(_("send after"), db_default=Now())
    tries = models.PositiveIntegerField(_("tries"), default=0)
    sent_at = models.DateTimeField(pgettext_lazy("mail", "sent at"), null=True, blank=True)

    class Meta:
        abstract = True


Mail = TypeVar("Mail", bound=QueuedMail)


class MailTimeout(OSError):
    """The mail was not sent within MAIL_TIMEOUT. An OSError, so that smtplib closes its connection."""


def send_mails(
    owed: models.QuerySet[Mail], *, make_message: Callable[[Mail], EmailMessage | None], limit: int = 100
) -> int:
    """Send those that are due, oldest first; return how many went out. One that fails is tried again, ever later.

    No two callers send the same mail: a claim ends (MAIL_AFTER) after the time that its sender has (MAIL_TIMEOUT). So
    any number of workers may send at the same time, each one mail at a time. No transaction is open while it is sent.
    One whose sender dies between the server's answer and our note of it is sent again: give it the same Message-ID each
    time, by which a server can tell. One that has no message any more is done. Ends after MAIL_EVERY, with what it then
    has in hand: other mails have their turn, and the next call goes on.
    """
    end = monotonic() + settings.MAIL_EVERY
    sent = 0
    for mail in islice(iter(lambda: _claim_mail(owed), None), limit):
        sent += _send_mail(mail, make_message)
        if monotonic() > end:
            break
    return sent


@contextmanager
def limit_time(seconds: float) -> Iterator[None]:
    """Raise MailTimeout in what is done within once the seconds are over, and each second from then on.

    A socket's timeout limits one read or write: a server that is slow each time can hold a mail for minutes. Only the
    main thread can be interrupted so, which the solo pool of the mails worker works in; elsewhere a warning says that
    there is no limit. A look-up of the server's name ends by the resolver's own timeout.
    """
    if current_thread() is not main_thread():
        logger.warning("MAIL_TIMEOUT holds in the main thread only: send mails in a worker with --pool solo")
        yield
        return
    before = signal.signal(signal.SIGALRM, _raise_timeout)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)  # again: socket.create_connection catches the first, and goes on
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _raise_timeout(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise MailTimeout("MAIL_TIMEOUT is over")


def _claim_mail(owed: models.QuerySet[Mail]) -> Mail | None:
    with transaction.atomic():
        due = owed.filter(sent_at__isnull=True, send_after__lte=Now()).order_by("send_after")
        mail = due.select_for_update(skip_locked=True, of=("self",)).first()
        if mail:
            mail.tries += 1
            pause = min(settings.MAIL_AFTER * 2 ** min(mail.tries - 1, 30), settings.MAIL_AFTER_MAX)
            mail.send_after = Now() + timedelta(seconds=pause)  # the clock that it is compared with, not ours
            mail.save(update_fields=["tries", "send_after"])
        return mail


def _send_mail(mail: Mail, make_message: Callable[[Mail], EmailMessage | None]) -> bool:
    try:
        message = make_message(mail)
        if message:
            with limit_time(settings.MAIL_TIMEOUT):
                message.send()
    except OSError as error:  # smtplib's errors are of this kind, and so is a server that can't be reached
        logger.warning("mail %s did not go out: %s", mail, error)
        return False
    except Exception:  # whatever is wrong with one mail must not hold up the others
        logger.exception("mail %s can't be made or sent", mail)
        return False
    type(mail)._default_manager.filter(pk=mail.pk).update(sent_at=Now())
    return message is not None
