import smtplib
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.core import mail as outbox
from django.core.mail import EmailMessage
from django.core.mail.backends.locmem import EmailBackend
from django.db import OperationalError, connection
from django.utils import timezone, translation

from languages import write_time
from orders.mails import send_due_mails
from orders.models import Order, OrderMail
from orders.services import cancel_order, finalize_order
from payments.models import Payment
from tests.builders import answer_payment, make_order, make_transfer
from tests.concurrency.race import race
from tests.locks import end_our_session

Answer = Payment.Status


def cancel(order: Order) -> None:
    cancel_order(code=order.code, reason=Order.CancelReason.CUSTOMER)


def end_order(answer: Payment.Status = Answer.SUCCEEDED, **fields: Any) -> Order:
    order = make_order({"MUG": 2}, **fields)
    answer_payment(order, answer)
    return finalize_order(code=order.code)


@pytest.mark.django_db
def test_a_confirmed_order_is_mailed_once_in_text_and_html(settings: LazySettings) -> None:
    settings.SHOP_URL = "https://shop.example.com"
    order = end_order()
    finalize_order(code=order.code)

    assert [send_due_mails(), send_due_mails()] == [1, 0]

    message: Any = outbox.outbox[0]
    assert message.to == ["ann@example.com"]
    assert message.subject == f"Your order {order.code} is confirmed"
    assert "2 x The MUG: £10.00" in message.body
    assert f"https://shop.example.com/orders/{order.code}/" in message.body
    assert "2 x The MUG" in message.alternatives[0][0]
    assert OrderMail.objects.get().sent_at is not None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("answer", "why"), [(Answer.DECLINED, "Your card was declined"), (Answer.CANCELLED, "was not paid in time")]
)
def test_a_cancelled_order_is_mailed_with_the_reason(answer: Payment.Status, why: str) -> None:
    end_order(answer)

    send_due_mails()

    (message,) = outbox.outbox
    assert why in message.body
    assert "No money was taken." in message.body


@pytest.mark.django_db
def test_an_order_without_an_end_is_not_mailed() -> None:
    make_order()
    assert send_due_mails() == 0


@pytest.mark.django_db
def test_a_mail_that_fails_is_tried_again_later_with_the_same_message_id(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise smtplib.SMTPServerDisconnected("gone")

    end_order()
    with monkeypatch.context() as broken:
        broken.setattr(EmailBackend, "send_messages", fail)
        assert send_due_mails() == 0
    owed = OrderMail.objects.get()
    assert (owed.tries, owed.sent_at) == (1, None)
    assert owed.send_after > timezone.now()

    assert send_due_mails() == 0  # not due yet
    OrderMail.objects.update(send_after=timezone.now())
    assert send_due_mails() == 1

    (message,) = outbox.outbox
    assert message.extra_headers["Message-ID"] == f"<{owed.order.code}.confirmed@orders.{settings.MAIL_DOMAIN}>"


@pytest.mark.django_db(transaction=True)
def test_a_mail_is_sent_once_though_the_session_is_lost_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    send = EmailBackend.send_messages

    def send_and_lose(backend: EmailBackend, messages: list[EmailMessage]) -> int:
        sent = send(backend, messages)
        if len(outbox.outbox) == 1:
            end_our_session()
        return sent

    monkeypatch.setattr(EmailBackend, "send_messages", send_and_lose)
    orders = [end_order(), end_order()]

    with pytest.raises(OperationalError):  # and its task is run again
        send_due_mails()
    connection.close()
    OrderMail.objects.filter(sent_at=None).update(send_after=timezone.now())
    send_due_mails()

    assert [any(order.code in message.subject for order in orders) for message in outbox.outbox] == [True, True]
    assert len({message.subject for message in outbox.outbox}) == 2


@pytest.mark.django_db
@pytest.mark.parametrize("trouble", ["cannot be sent", "cannot be made"])
def test_a_mail_that_cannot_go_out_holds_up_no_other(
    trouble: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = EmailBackend.send_messages

    def send_to_all_but_bob(backend: EmailBackend, messages: list[EmailMessage]) -> int:
        if messages[0].to == ["bob@example.com"]:
            raise ValueError("nobody of that name")
        return send(backend, messages)

    monkeypatch.setattr(EmailBackend, "send_messages", send_to_all_but_bob)
    bad = end_order(email="bob@example.com" if trouble == "cannot be sent" else "ann@example.com")
    if trouble == "cannot be made":
        OrderMail.objects.update(kind="unknown")
    for _ in range(2):
        end_order()

    assert send_due_mails() == 2

    assert list(OrderMail.objects.filter(sent_at=None).values_list("order", "tries")) == [(bad.pk, 1)]
    lines = [line for line in caplog.text.splitlines() if f"of {bad.code}" in line]
    assert [line.partition(" a mail ")[2].partition(" mail=")[0] for line in lines] == ["can't be made or sent"]


@pytest.mark.django_db
def test_a_mail_is_claimed_when_its_turn_comes_however_slow_the_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    unclaimed = []

    def count(*_: object) -> int:
        unclaimed.append(OrderMail.objects.filter(tries=0).count())
        return 1

    for _ in range(3):
        end_order()
    monkeypatch.setattr(EmailBackend, "send_messages", count)

    assert send_due_mails() == 3
    assert unclaimed == [2, 1, 0]


@pytest.mark.django_db
def test_a_mail_waits_by_the_databases_clock_though_ours_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise smtplib.SMTPServerDisconnected("gone")

    end_order()
    slow = timezone.now() - timedelta(hours=7)
    monkeypatch.setattr(timezone, "now", lambda: slow)
    monkeypatch.setattr(EmailBackend, "send_messages", fail)

    assert [send_due_mails(), send_due_mails()] == [0, 0]

    assert OrderMail.objects.get().tries == 1


@pytest.mark.django_db
def test_a_call_sends_no_more_than_its_limit() -> None:
    for _ in range(3):
        end_order()

    assert [send_due_mails(limit=2), send_due_mails(limit=2)] == [2, 1]


@pytest.mark.django_db
def test_a_call_that_has_had_its_time_ends_after_the_mail_in_hand(settings: LazySettings) -> None:
    settings.MAIL_EVERY = 0
    for _ in range(2):
        end_order()

    assert [send_due_mails(), send_due_mails()] == [1, 1]


@pytest.mark.django_db(transaction=True)
def test_senders_at_the_same_time_send_each_mail_once() -> None:
    for _ in range(5):
        end_order()

    assert sum(race([send_due_mails] * 4)) == 5
    assert len(outbox.outbox) == 5


@pytest.mark.django_db
@pytest.mark.usefixtures("transfers")
def test_an_order_by_transfer_is_mailed_how_to_pay_in_its_language(settings: LazySettings) -> None:
    with translation.override("ko"):
        korean = make_order({"MUG": 2}, gateway="manual")
    english = make_order({"MUG": 2}, gateway="manual")

    assert [send_due_mails(), send_due_mails()] == [2, 0]

    subjects = {message.subject: message for message in outbox.outbox}
    message: Any = subjects[f"How to pay for your order {english.code}"]
    until = f"so that it arrives before {write_time(english.expires_at)}."
    for words in ("Account number: GB33 BUKB 2020 1555 5555 55", "Amount: £10.00", f"Reference: {english.code}", until):
        assert words in message.body
    for form in (message.body, message.alternatives[0][0]):
        assert "GB33 BUKB 2020 1555 5555 55" in form
        assert "You can cancel the order on its page." in form
    assert f"참조 번호: {korean.code}" in subjects[f"주문 {korean.code} 결제 안내"].body


@pytest.mark.django_db
@pytest.mark.usefixtures("transfers")
@pytest.mark.parametrize(
    "happens", [lambda order: cancel_order(code=order.code, reason=Order.CancelReason.CUSTOMER), make_transfer]
)
def test_nobody_is_asked_for_money_by_mail_once_it_has_come_or_the_order_is_cancelled(happens: Any) -> None:
    happens(make_order(gateway="manual"))

    send_due_mails()

    assert not [message for message in outbox.outbox if "How to pay" in message.subject]
    assert OrderMail.objects.get(kind="instructions").sent_at
