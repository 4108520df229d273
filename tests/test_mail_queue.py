import time
from collections.abc import Iterator
from email.message import EmailMessage as Message
from threading import Thread

import django
import pytest
from django.conf import LazySettings
from django.core.mail import EmailMessage
from django.db import connection
from django.utils import timezone

from mail_queue import MailTimeout, limit_time
from orders.mails import send_due_mails
from orders.models import OrderMail
from orders.services import finalize_order
from payments.models import Payment
from tests.builders import answer_payment, make_order
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

    def look(_: EmailMessage, **__: object) -> int:
        seen.append((connection.in_atomic_block, connection.get_autocommit()))
        return 1

    owe_mail()
    monkeypatch.setattr(EmailMessage, "send", look)

    assert send_due_mails() == 1
    assert seen == [(False, True)]


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
