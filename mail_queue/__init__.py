"""Mails that are owed: rows that are claimed as each has its turn, sent within a time limit, and tried again later."""

import logging
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from threading import current_thread, main_thread
from time import monotonic
from types import FrameType
from typing import NoReturn, TypeVar

import django
from django.conf import settings
from django.core import mail as django_mail
from django.core.mail import EmailMessage
from django.db import connection, models
from django.db.models.functions import Now
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from psycopg.sql import SQL, Identifier

logger = logging.getLogger(__name__)

BATCH = 100  # mails that are read at a time
CLOSE_WITHIN = 2.0  # seconds for the mail server to take its leave

# One statement for both, as both are needed for each mail: a mail's sending costs the database one round trip and one
# commit. Nobody waits for a mail that another sender has in hand.
NOTE_AND_CLAIM = SQL("""
WITH noted AS (UPDATE {table} SET sent_at = statement_timestamp() WHERE id = %(sent)s),
due AS (
    SELECT id FROM {table} WHERE id = %(mail)s AND sent_at IS NULL AND send_after <= statement_timestamp()
    FOR UPDATE SKIP LOCKED
)
UPDATE {table} AS mail
SET tries = tries + 1,
    send_after = statement_timestamp() + least(%(after)s * 2 ^ least(tries, 30), %(after_max)s) * interval '1 second'
FROM due WHERE mail.id = due.id
""")


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


class MailServer:
    """One connection to the mail server, for as long as it works: after an error the next mail has a new one."""

    def __init__(self) -> None:
        self._connection = django_mail.mailers.default if django.VERSION >= (6, 1) else django_mail.get_connection()

    def send(self, message: EmailMessage) -> None:
        """Raises what the connection raises, and MailTimeout."""
        with limit_time(settings.MAIL_TIMEOUT):
            try:
                self._connection.open()  # what Django opens for a mail it closes with it
                self._connection.send_messages([message])
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        try:
            with limit_time(CLOSE_WITHIN):
                self._connection.close()
        except OSError as error:
            logger.info("the mail server did not take its leave: %r", error)


def send_mails(
    owed: models.QuerySet[Mail], *, make_message: Callable[[Mail], EmailMessage | None], limit: int = 1000
) -> int:
    """Send those that are due, oldest first; return how many went out. One that fails is tried again, ever later.

    No two callers send the same mail: a claim ends (MAIL_AFTER) after the time that its sender has (MAIL_TIMEOUT). So
    any number of workers may send at the same time, each one mail at a time. No transaction is open while it is sent.
    One whose sender dies between the server's answer and our note of it is sent again, and no other is: the note is
    made before the next one is sent. Give it the same Message-ID each time, by which a server can tell. One that has no
    message any more is done. Ends after MAIL_EVERY, with what it then has in hand: other mails have their turn, and the
    next call goes on.
    """
    end = monotonic() + settings.MAIL_EVERY
    sent = 0
    with closing(MailServer()) as server, closing(_claim_mails(owed)) as mails:
        for mail in islice(mails, limit):
            sent += _send_mail(mail, make_message, server)
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


def find_language(language: str) -> str:
    """That language, or the shop's own where the shop does not offer it any more."""
    try:
        return translation.get_supported_language_variant(language)
    except LookupError:
        return settings.LANGUAGE_CODE


def _raise_timeout(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise MailTimeout("MAIL_TIMEOUT is over")


def _claim_mails(owed: models.QuerySet[Mail]) -> Generator[Mail, None, None]:
    """Those that are due, each claimed as it is asked for. The one before is noted then, if its `sent_at` was set."""
    due = owed.filter(sent_at__isnull=True, send_after__lte=Now()).order_by("send_after")
    statement = NOTE_AND_CLAIM.format(table=Identifier(owed.model._meta.db_table)).as_string()
    last, is_busy = None, True
    try:
        while is_busy and (batch := list(due[:BATCH])):
            is_busy = False  # if not one of them can be claimed, others send them
            for mail in batch:
                is_claimed, last = _claim_mail(statement, mail, last), None
                if is_claimed:
                    last, is_busy = mail, True
                    yield mail
    finally:
        if last and last.sent_at:
            type(last)._default_manager.filter(pk=last.pk).update(sent_at=Now())


def _claim_mail(statement: str, mail: Mail, last: Mail | None) -> bool:
    values = {"sent": last.pk if last and last.sent_at else None, "mail": mail.pk}
    pauses = {"after": settings.MAIL_AFTER, "after_max": settings.MAIL_AFTER_MAX}
    with connection.cursor() as cursor:
        cursor.execute(statement, values | pauses)
        return bool(cursor.rowcount)


def _send_mail(mail: Mail, make_message: Callable[[Mail], EmailMessage | None], server: MailServer) -> bool:
    try:
        message = make_message(mail)
        if message:
            server.send(message)
    except OSError as error:  # smtplib's errors are of this kind, and so is a server that can't be reached
        logger.warning("mail %s did not go out: %s", mail, error)
        return False
    except Exception:  # whatever is wrong with one mail must not hold up the others
        logger.exception("mail %s can't be made or sent", mail)
        return False
    mail.sent_at = timezone.now()
    return message is not None
