"""A queue of mails in the database: each row is claimed, sent within a time limit, and tried again if that fails."""

import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import islice
from threading import Event, current_thread, main_thread
from time import monotonic
from types import FrameType
from typing import NoReturn, TypeVar

import django
import structlog
from celery.signals import worker_shutting_down
from django.conf import settings
from django.core import mail as django_mail
from django.core.mail import EmailMessage
from django.db import connection, models
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from psycopg.sql import SQL, Identifier

from database_errors import run_again_if_lost

logger = structlog.stdlib.get_logger(__name__)

BATCH = 100  # mails that are read at a time
CLOSE_WITHIN = 2.0  # seconds for the mail server to answer QUIT
stopping = Event()  # set when this process is told to stop: the mail in hand is its last

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


class MailServer:
    """One connection to the mail server, for as long as it works: after an error the next mail has a new one."""

    def __init__(self) -> None:
        self._connection = django_mail.mailers.default if django.VERSION >= (6, 1) else django_mail.get_connection()

    def send(self, message: EmailMessage) -> None:
        """Raises what the connection raises, and MailTimeout."""
        with limit_time(settings.MAIL_TIMEOUT):
            try:
                self._connection.open()  # opened here, or Django would close it after each mail
                self._connection.send_messages([message])
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        try:
            with limit_time(CLOSE_WITHIN):
                self._connection.close()
        except OSError as error:
            logger.info("the mail server did not answer QUIT", reason=repr(error))


def send_mails(
    owed: models.QuerySet[Mail], *, make_message: Callable[[Mail], EmailMessage | None], limit: int = 1000
) -> int:
    """Send the mails that are due, the longest due first, and return how many were sent.

    A mail that fails is tried again later, with growing pauses. If `make_message` returns None, nobody needs the mail
    any more: its row is closed, and nothing is sent. No transaction is open while a mail is sent.

    Any number of workers may send at the same time. A claim lasts for MAIL_AFTER, which is longer than sending may take
    (MAIL_TIMEOUT), so no two workers send the same mail. But if a worker dies after the server took a mail and before
    its row says so, the mail is sent again. No other is: the row says so before the next mail is sent. Give it the same
    Message-ID each time, so that a server can tell.

    The call ends at the first mail that is over after MAIL_EVERY. So other kinds of mails have their turn, and the next
    call goes on. A process that is told to stop begins no other mail.
    """
    end = monotonic() + settings.MAIL_EVERY
    sent = 0
    with closing(MailServer()) as server, closing(_claim_mails(owed)) as mails:
        for mail in islice(mails, 0 if stopping.is_set() else limit):
            sent += _send_mail(mail, make_message, server)
            if monotonic() > end or stopping.is_set():
                break
    return sent


@worker_shutting_down.connect
def stop_sending(**_: object) -> None:
    stopping.set()


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


def _claim_mails(owed: models.QuerySet[Mail]) -> Generator[Mail, None, None]:
    """Yield the mails that are due, and claim each as it is asked for. The one before is noted then, if it was sent."""
    due = owed.filter(sent_at__isnull=True, send_after__lte=Now()).order_by("send_after")
    statement = NOTE_AND_CLAIM.format(table=Identifier(owed.model._meta.db_table)).as_string()
    last, claimed_any = None, True
    try:
        while claimed_any and (batch := list(due[:BATCH])):
            claimed_any = False  # if not one of them can be claimed, others send them
            for mail in batch:
                is_claimed, last = _claim_mail(statement, mail, last), None
                if is_claimed:
                    last, claimed_any = mail, True
                    yield mail
    finally:
        if last and last.sent_at:  # it went out: if that is not noted, it goes out again
            run_again_if_lost(partial(type(last)._default_manager.filter(pk=last.pk).update, sent_at=Now()))


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
        logger.warning("a mail did not go out", mail=str(mail), reason=str(error))
        return False
    except Exception:  # one bad mail must not hold up the others
        logger.exception("a mail can't be made or sent", mail=str(mail))
        return False
    mail.sent_at = timezone.now()  # _claim_mails writes it down, with the next claim
    return message is not None
