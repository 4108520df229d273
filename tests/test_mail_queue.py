import time
from collections.abc import Iterator
from email.message import EmailMessage as Message
from threading import Event, Thread

import django
import pytest
from django.conf import LazySettings
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection
from django.utils import timezone

from mail_queue import MailTimeout, limit_time
from orders.mails import send_due_mails
from orders.models import OrderMail
from orders.services import finalize_order
from payments.models import Payment
from tests.builders import answer_payment, make_order
from tests.locks import holding
from tests.mail_server import MailServer, run_mail_server


@pytest.fixture
def mail_server(settings: LazySettings) -> Iterator[MailServer]:
    """The shop's mail server, which answers at once until told otherwise."""
    with run_mail_server() as server:
        backend, options = (
            "django.core.mail.backends.smtp.EmailBackend",
            {"host": "127.0.0.1", "port": server.server_address[1]},
        )
        if django.VERSION < (6, 1):
            settings.EMAIL_BACKEND, settings.EMAIL_TIMEOUT = backend, 10
            settings.EMAIL_HOST, settings.EMAIL_PORT = options.values()
        else:  # the same under its new names
            settings.MAILERS = {"default": {"BACKEND": backend, "OPTIONS": {"timeout": 10, **options}}}
        yield server


def owe_mail() -> None:
    order = make_order()
    answer_payment(order, Payment.Status.SUCCEEDED)
    finalize_order(code=order.code)


@pytest.mark.django_db
def test_a_mail_that_a_slow_server_holds_too_long_is_given_up_and_sent_later(
    mail_server: MailServer, settings: LazySettings
) -> None:
    owe_mail()
    mail_server.pause, settings.MAIL_TIMEOUT = 0.5, 1  # each answer comes in time, all of them don't

    assert send_due_mails() == 0

    owed = OrderMail.objects.get()
    assert (owed.tries, owed.sent_at, mail_server.mails) == (1, None, [])
    assert owed.send_after > timezone.now()

    mail_server.pause = 0
    OrderMail.objects.update(send_after=timezone.now())
    assert send_due_mails() == 1
    (mail,) = mail_server.mails
    assert mail["Message-ID"] == f"<{owed.order.code}.confirmed@orders.{settings.MAIL_DOMAIN}>"


@pytest.mark.django_db
def test_a_mail_whose_answer_came_too_late_is_sent_again_with_the_same_message_id(
    mail_server: MailServer, settings: LazySettings
) -> None:
    owe_mail()
    settings.MAIL_TIMEOUT = 1
    mail_server.mails = Holding(mail_server)

    assert send_due_mails() == 0

    mail_server.answering.set()
    OrderMail.objects.update(send_after=timezone.now())
    assert send_due_mails() == 1
    assert len(mail_server.mails) == 2
    assert len({mail["Message-ID"] for mail in mail_server.mails}) == 1


class Holding(list[Message]):
    """Mails that are taken, the first of them without an answer."""

    def __init__(self, server: MailServer) -> None:
        super().__init__()
        self._server = server

    def append(self, mail: Message) -> None:
        super().append(mail)
        if len(self) == 1:
            self._server.answering.clear()


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_a_mail_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def look(*_: object) -> int:
        seen.append((connection.in_atomic_block, connection.get_autocommit()))
        return 1

    owe_mail()
    monkeypatch.setattr(EmailBackend, "send_messages", look)

    assert send_due_mails() == 1
    assert seen == [(False, True)]


@pytest.mark.django_db
def test_mails_of_one_call_go_over_one_connection(mail_server: MailServer) -> None:
    for _ in range(5):
        owe_mail()

    assert send_due_mails() == 5

    assert (len(mail_server.mails), mail_server.visits) == (5, 1)
    assert not OrderMail.objects.filter(sent_at=None).exists()


@pytest.mark.django_db
def test_after_an_error_the_next_mail_has_a_new_connection(mail_server: MailServer) -> None:
    for _ in range(3):
        owe_mail()
    mail_server.mails = Refusing()

    assert send_due_mails() == 2

    assert (len(mail_server.mails), mail_server.visits) == (2, 2)
    assert OrderMail.objects.get(sent_at=None).tries == 1


class Refusing(list[Message]):
    """The connection of the first mail breaks."""

    def __init__(self) -> None:
        super().__init__()
        self._is_first = True

    def append(self, mail: Message) -> None:
        if self._is_first:
            self._is_first = False
            raise ConnectionError
        super().append(mail)


@pytest.mark.django_db(transaction=True)
def test_a_sender_that_dies_leaves_one_mail_at_most_to_be_sent_again(mail_server: MailServer) -> None:
    """Whenever it dies: as a mail is taken, all before it are noted, and none behind it is claimed."""
    for _ in range(5):
        owe_mail()
    watching = Watching()
    mail_server.mails = watching

    assert send_due_mails() == 5

    assert watching.seen == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]


class Watching(list[Message]):
    """What is committed as each mail is taken: how many are noted, and how many claimed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int]] = []

    def append(self, mail: Message) -> None:
        super().append(mail)
        owed = OrderMail.objects.values_list("sent_at", "tries")
        self.seen.append((sum(sent is not None for sent, _ in owed), sum(tries > 0 for _, tries in owed)))
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_a_mail_that_somebody_else_has_locked_keeps_no_other_waiting() -> None:
    for _ in range(3):
        owe_mail()
    locked = OrderMail.objects.earliest("send_after")
    with holding("SELECT FROM orders_ordermail WHERE id = %s FOR UPDATE", str(locked.pk)):
        assert send_due_mails() == 2

    assert list(OrderMail.objects.filter(sent_at=None)) == [locked]


def test_a_limit_that_is_caught_on_the_way_strikes_again() -> None:
    caught = []

    def catch() -> None:
        try:
            time.sleep(30)
        except OSError as error:
            caught.append(error)
        time.sleep(30)

    with pytest.raises(MailTimeout), limit_time(0.1):
        catch()

    assert len(caught) == 1


def test_a_limit_ends_with_what_it_limits() -> None:
    with limit_time(0.1):
        pass

    time.sleep(0.3)


def test_off_the_main_thread_a_warning_says_that_nothing_is_limited(caplog: pytest.LogCaptureFixture) -> None:
    def send() -> None:
        with limit_time(0.1):
            time.sleep(0.2)

    thread = Thread(target=send)
    thread.start()
    thread.join()

    assert "--pool solo" in caplog.text


@pytest.mark.django_db
def test_a_process_that_is_told_to_stop_begins_no_other_mail(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    owe_mail()
    stopping = Event()
    monkeypatch.setattr("mail_queue.stopping", stopping)
    stopping.set()

    assert send_due_mails() == 0

    assert (OrderMail.objects.get().tries, mail_server.mails) == (0, [])
    stopping.clear()
    assert send_due_mails() == 1
