"""A queue of mails in the database: each row is claimed, sent within a time limit, and tried again if that fails."""

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
    """A mail to send. Its row is written in the transaction of what it tells about, and the mail is sent afterwards."""

    created_at = models.DateTimeField(_("created at"), db_default=Now())
    send_after = models.DateTimeField(_("send after"), db_default=Now())
    tries = models.PositiveIntegerField(_("tries"), default=0, db_default=0)
    sent_at = models.DateTimeField(pgettext_lazy("mail", "sent at"), null=True, blank=True)

    class Meta:
        abstract = True


Mail = TypeVar("Mail", bound=QueuedMail)


class MailTimeout(OSError):
    """The mail was not sent within MAIL_TIMEOUT. It is an OSError, so that smtplib closes its connection."""


def send_mails(
    owed: models.QuerySet[Mail], *, make_message: Callable[[Mail], EmailMessage | None], limit: int = 100
) -> int:
    """Send the mails that are due, the longest due first, and return how many were sent.

    A mail that fails is tried again later, with growing pauses. If `make_message` returns None, nobody needs the mail
    any more: its row is closed, and nothing is sent. No transaction is open while a mail is sent.

    Any number of workers may send at the same time. A claim lasts for MAIL_AFTER, which is longer than sending may take
    (MAIL_TIMEOUT), so no two workers send the same mail. But if a worker dies after the server took a mail and before
    its row says so, the mail is sent again. Give it the same Message-ID each time, so that a server can tell.

    The call ends at the first mail that is over after MAIL_EVERY. So other kinds of mails have their turn, and the next
    call goes on.
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
    """Raise MailTimeout inside the block when the seconds are over, and again each second from then on.

    A socket's timeout limits only one read or write, so a server that is slow each time could hold a mail for minutes.
    A signal can interrupt only the main thread. The solo pool of the mails worker runs tasks there; in any other thread
    there is no limit, and a warning says so. The look-up of the server's name ends by the resolver's own timeout.
    """
    if current_thread() is not main_thread():
        logger.warning("MAIL_TIMEOUT holds in the main thread only: send mails in a worker with --pool solo")
        yield
        return
    before = signal.signal(signal.SIGALRM, _raise_timeout)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)  # each second: socket.create_connection may catch the first
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
            mail.send_after = Now() + timedelta(seconds=pause)  # by the database's clock, which it is compared with
            mail.save(update_fields=["tries", "send_after"])
        return mail


def _send_mail(mail: Mail, make_message: Callable[[Mail], EmailMessage | None]) -> bool:
    try:
        message = make_message(mail)
        if message:
            with limit_time(settings.MAIL_TIMEOUT):
                message.send()
    except OSError as error:  # all errors of smtplib are, and those of a server that can't be reached
        logger.warning("mail %s did not go out: %s", mail, error)
        return False
    except Exception:  # one bad mail must not hold up the others
        logger.exception("mail %s can't be made or sent", mail)
        return False
    type(mail)._default_manager.filter(pk=mail.pk).update(sent_at=Now())
    return message is not None
