import json
import os
import socket
import subprocess
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from payments import requests
from payments.gateway import Charge, ChargeRequest, GatewayUnavailable, RequestRefused, get_gateway
from payments.models import Payment
from payments.processes import name_process
from payments.requests import IN_FLIGHT_MARGIN, end_dead_requests
from payments.services import (
    cancel_payment,
    cancel_pending_payment,
    charge_payment,
    create_payment,
    request_cancel,
    resume_payment,
)
from payments.stripe import StripeGateway
from tests.locks import end_our_session
from tests.provider import Provider, nonsense_provider

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("gateway")]
Status = Payment.Status


def make_payment(payment_method: str = "pm_card_visa", *, reference: str, amount: int = 1234) -> Payment:
    payment = create_payment(
        reference=reference, number=1, amount=amount, currency="GBP", payment_method=payment_method
    )
    assert payment
    return Payment.objects.get(pk=payment)


def charge_in_vain(provider: Provider, reference: str) -> None:
    """SENT, but it has never arrived: the provider was down, and is back."""
    make_payment(reference=reference)
    provider.control(fault="down")
    with pytest.raises(GatewayUnavailable):
        charge_payment(reference=reference)
    provider.control()


def charged(reference: str) -> list[int]:
    """What the provider's own ledger shows for the reference."""
    return [charge.amount for charge in get_gateway().list_charges() if charge.reference == reference]


def use_gateway(gateway: type[StripeGateway], settings: LazySettings) -> None:
    settings.PAYMENT_GATEWAYS = {"stripe": f"{gateway.__module__}.{gateway.__name__}"}
    get_gateway.cache_clear()


def read_clock() -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def row(reference: str) -> Any:
    return Payment.objects.values().get(reference=reference)


def test_charge_payment_takes_the_money_and_writes_it_down(reference: str) -> None:
    make_payment(reference=reference)

    charge_payment(reference=reference)

    payment = Payment.objects.get()
    assert (payment.status, payment.requests) == (Status.SUCCEEDED, 1)
    assert payment.provider_id is not None
    assert charged(reference) == [1234]


def test_charge_payment_writes_down_why_the_card_was_declined(reference: str) -> None:
    make_payment("pm_card_visa_chargeDeclinedInsufficientFunds", reference=reference)

    charge_payment(reference=reference)

    payment = Payment.objects.get()
    assert (payment.status, payment.decline_code) == (Status.DECLINED, "insufficient_funds")
    assert charged(reference) == []


@pytest.mark.parametrize("method", ["pm_card_visa", "pm_card_visa_chargeDeclined"])
def test_charge_payment_twice_changes_nothing_more(method: str, reference: str) -> None:
    make_payment(method, reference=reference)
    charge_payment(reference=reference)
    before, money = row(reference), charged(reference)

    charge_payment(reference=reference)

    assert (row(reference), charged(reference)) == (before, money)


@pytest.mark.parametrize("method", ["pm_sandbox_drop", "pm_sandbox_hang"])
def test_charge_payment_leaves_an_unknown_outcome_sent_and_a_repeat_finds_the_money(
    method: str, reference: str
) -> None:
    make_payment(method, reference=reference)

    with pytest.raises(GatewayUnavailable):
        charge_payment(reference=reference)
    payment = Payment.objects.get()
    assert (payment.status, payment.provider_id) == (Status.SENT, None)
    assert payment.last_error

    ask_until_answered(reference)
    assert Payment.objects.get().status == Status.SUCCEEDED
    assert charged(reference) == [1234]


def test_charge_payment_while_the_provider_is_down_stays_sent_and_takes_nothing(
    provider: Provider, reference: str
) -> None:
    make_payment(reference=reference)
    provider.control(fault="down")

    with pytest.raises(GatewayUnavailable):
        charge_payment(reference=reference)

    provider.control()
    assert Payment.objects.get().status == Status.SENT
    assert charged(reference) == []


def test_the_provider_is_asked_so_often_and_no_more(provider: Provider, reference: str, settings: LazySettings) -> None:
    settings.PAYMENT_MAX_REQUESTS = 2
    make_payment(reference=reference)
    provider.control(fault="down")
    for _ in range(2):
        with pytest.raises(GatewayUnavailable):
            charge_payment(reference=reference)
    provider.control()
    before = row(reference)

    charge_payment(reference=reference)
    cancel_payment(reference=reference)
    assert row(reference) == before

    resume_payment(reference=reference)
    charge_payment(reference=reference)
    assert row(reference)["status"] == Status.SUCCEEDED


def test_charge_payment_is_on_disk_before_the_provider_hears_of_it(reference: str) -> None:
    make_payment(reference=reference)

    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        charge_payment(reference=reference)

    assert Payment.objects.get().status == Status.PENDING
    assert charged(reference) == []


def test_charge_payment_holds_no_database_connection_while_it_waits(
    monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    make_payment(reference=reference)
    held: list[object] = []
    charge = get_gateway().charge

    def charge_and_look(request: ChargeRequest) -> Charge:
        held.append(connection.connection)
        return charge(request)

    monkeypatch.setattr(get_gateway(), "charge", charge_and_look)

    charge_payment(reference=reference)

    assert held == [None]


def test_cancel_payment_of_one_never_sent_makes_a_late_charge_refuse(reference: str) -> None:
    make_payment(reference=reference)

    cancel_payment(reference=reference)
    before = row(reference)
    charge_payment(reference=reference)

    assert before["status"] == Status.CANCELLED
    assert row(reference) == before
    assert charged(reference) == []


@pytest.mark.parametrize("method", ["pm_card_visa", "pm_card_visa_chargeDeclined"])
def test_the_time_of_the_answer_is_that_of_the_database(method: str, reference: str) -> None:
    make_payment(method, reference=reference)
    assert row(reference)["answered_at"] is None
    before = read_clock()

    charge_payment(reference=reference)

    assert before < row(reference)["sent_at"] < row(reference)["answered_at"] < read_clock()


def test_an_unknown_outcome_has_no_time_of_its_answer_until_it_is_known(reference: str) -> None:
    make_payment("pm_sandbox_drop", reference=reference)
    with pytest.raises(GatewayUnavailable):
        charge_payment(reference=reference)
    assert row(reference)["answered_at"] is None

    cancel_payment(reference=reference)

    assert row(reference)["answered_at"] > row(reference)["sent_at"]


def test_cancel_pending_payment_cancels_one_that_was_never_sent_alone(reference: str) -> None:
    make_payment(reference=reference)
    before = read_clock()

    assert cancel_pending_payment(reference=reference)

    cancelled = row(reference)
    assert (cancelled["status"], cancelled["sent_at"]) == ("CANCELLED", None)
    assert before < cancelled["answered_at"] < read_clock()
    assert not cancel_pending_payment(reference=reference)
    assert row(reference) == cancelled


def test_cancel_pending_payment_leaves_one_that_was_sent(reference: str) -> None:
    make_payment("pm_sandbox_drop", reference=reference)
    with pytest.raises(GatewayUnavailable):
        charge_payment(reference=reference)
    before = row(reference)

    assert not cancel_pending_payment(reference=reference)

    assert row(reference) == before


def test_request_cancel_cancels_one_that_was_never_sent(reference: str) -> None:
    make_payment(reference=reference)

    request_cancel(reference=reference)

    assert (row(reference)["status"], row(reference)["cancel_requested_at"]) == ("CANCELLED", None)


def test_no_charge_begins_after_a_cancel_was_requested(provider: Provider, reference: str) -> None:
    charge_in_vain(provider, reference)
    request_cancel(reference=reference)
    before = row(reference)
    assert before["status"] == "SENT"

    request_cancel(reference=reference)
    charge_payment(reference=reference)

    assert row(reference) == before
    assert charged(reference) == []
    cancel_payment(reference=reference)
    assert row(reference)["status"] == "CANCELLED"


def test_request_cancel_leaves_one_with_an_answer(reference: str) -> None:
    make_payment(reference=reference)
    charge_payment(reference=reference)
    before = row(reference)

    request_cancel(reference=reference)

    assert row(reference) == before


class TwoFacedGateway(StripeGateway):
    """Another task hears of another charge first."""

    def charge(self, request: ChargeRequest) -> Charge:
        Payment.objects.update(status=Status.SUCCEEDED, provider_id="pi_other", answered_at=Now())
        return super().charge(request)


def test_a_second_answer_that_contradicts_the_first_is_an_error_in_the_log(
    reference: str, settings: LazySettings, caplog: pytest.LogCaptureFixture
) -> None:
    make_payment(reference=reference)
    use_gateway(TwoFacedGateway, settings)

    charge_payment(reference=reference)

    assert row(reference)["provider_id"] == "pi_other"
    (line,) = [line for line in caplog.text.splitlines() if " ERROR " in line]
    assert f"was answered again key=charge-{reference} was=" in line
    assert charged(reference) == [1234]


class WatchedGateway(StripeGateway):
    """While it asks, others come to ask as well."""

    asked = 0

    def charge(self, request: ChargeRequest) -> Charge:
        WatchedGateway.asked += 1
        assert WatchedGateway.asked == 1
        before = row(request.reference)
        charge_payment(reference=request.reference)
        cancel_payment(reference=request.reference)
        request_cancel(reference=request.reference)
        resume_payment(reference=request.reference)
        charge_payment(reference=request.reference)
        during = row(request.reference)
        assert during == {**before, "requests": 0, "cancel_requested_at": during["cancel_requested_at"]}
        return super().charge(request)


def test_a_payment_that_is_in_flight_is_not_asked_for_again(
    reference: str, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_payment(reference=reference)
    use_gateway(WatchedGateway, settings)
    monkeypatch.setattr(WatchedGateway, "asked", 0)

    charge_payment(reference=reference)

    assert WatchedGateway.asked == 1
    assert row(reference)["status"] == "SUCCEEDED"
    assert charged(reference) == [1234]


def land(reference: str) -> None:
    """Let the time of its request be over."""
    Payment.objects.filter(reference=reference).update(in_flight_until=Now())


class DyingGateway(StripeGateway):
    """As if its process were killed in the provider's call."""

    def charge(self, request: ChargeRequest) -> Charge:
        raise KeyboardInterrupt


def leave_in_flight(reference: str, settings: LazySettings) -> None:
    use_gateway(DyingGateway, settings)
    with pytest.raises(KeyboardInterrupt):
        charge_payment(reference=reference)
    use_gateway(StripeGateway, settings)


def test_the_mark_of_a_killed_process_names_it_and_holds_for_the_time_of_its_request(
    reference: str, settings: LazySettings
) -> None:
    make_payment(reference=reference)
    leave_in_flight(reference, settings)
    before = row(reference)
    host, pid, start = before["in_flight_by"].split()
    assert (host, int(pid)) == (socket.gethostname(), os.getpid())
    assert int(start) > 0
    longest = timedelta(seconds=settings.STRIPE_TIMEOUT) + IN_FLIGHT_MARGIN
    assert before["in_flight_until"] - before["sent_at"] == longest

    charge_payment(reference=reference)
    cancel_payment(reference=reference)
    assert row(reference) == before
    assert charged(reference) == []

    land(reference)
    charge_payment(reference=reference)
    after = row(reference)
    assert (after["status"], after["requests"]) == ("SUCCEEDED", 2)
    assert (after["in_flight_until"], after["in_flight_by"]) == (None, "")


def test_a_forked_process_has_a_name_of_its_own() -> None:
    ours, (reader, writer) = name_process(), os.pipe()
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # other threads: the child uses no lock
        child = os.fork()
    if not child:
        os.write(writer, name_process().encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reader, 1000).decode()
    os.close(reader)
    os.close(writer)

    assert theirs.split()[:2] == [ours.split()[0], str(child)]
    assert name_process() == ours


def name_after(process: "subprocess.Popen[bytes]") -> str:
    start = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
    return f"{socket.gethostname()} {process.pid} {start}"


@pytest.fixture
def killed() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that was killed, and whose parent has taken no note of it yet."""
    process = subprocess.Popen(["sleep", "60"])
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    yield process
    process.wait()


def lose_the_session_with_the_answer(gateway: StripeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    charge = gateway.charge

    def charge_and_lose(request: ChargeRequest) -> Charge:
        answer = charge(request)
        end_our_session()
        return answer

    monkeypatch.setattr(gateway, "charge", charge_and_lose)


def test_an_answer_is_written_down_though_the_session_is_lost_just_then(
    reference: str, gateway: StripeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_payment(reference=reference)
    lose_the_session_with_the_answer(gateway, monkeypatch)

    charge_payment(reference=reference)

    assert (row(reference)["status"], charged(reference)) == ("SUCCEEDED", [1234])


def test_control_without_a_second_run_a_known_answer_is_left_to_the_sweep(
    reference: str, gateway: StripeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_payment(reference=reference)
    lose_the_session_with_the_answer(gateway, monkeypatch)
    monkeypatch.setattr(requests, "run_again_if_lost", lambda run: run())

    with pytest.raises(OperationalError):
        charge_payment(reference=reference)
    connection.close()

    assert (row(reference)["status"], charged(reference)) == ("SENT", [1234])


def test_the_mark_of_a_dead_process_is_ended_and_the_payment_can_be_asked_for_at_once(
    reference: str, settings: LazySettings, killed: "subprocess.Popen[bytes]"
) -> None:
    make_payment(reference=reference)
    leave_in_flight(reference, settings)
    Payment.objects.update(in_flight_by=name_after(killed))

    end_dead_requests()

    before = row(reference)
    assert before["in_flight_until"] <= timezone.now()
    assert before["in_flight_by"]
    charge_payment(reference=reference)
    after = row(reference)
    assert (after["status"], after["requests"], after["only_refused"]) == ("SUCCEEDED", 2, False)
    assert charged(reference) == [1234]


def name_gone() -> str:
    process = subprocess.Popen(["true"])
    process.wait()
    return f"{socket.gethostname()} {process.pid} 1"


def test_a_process_is_dead_also_when_another_has_its_pid(reference: str, settings: LazySettings) -> None:
    make_payment(reference=reference)
    leave_in_flight(reference, settings)
    for gone in (f"{socket.gethostname()} {os.getpid()} 1", name_gone()):
        Payment.objects.update(in_flight_by=gone, in_flight_until=Now() + timedelta(minutes=1))

        end_dead_requests()

        assert row(reference)["in_flight_until"] <= timezone.now()


@pytest.mark.parametrize("whose", ["ours", "another host's"])
def test_the_mark_of_a_process_that_lives_or_may_live_is_kept(
    reference: str, settings: LazySettings, whose: str
) -> None:
    make_payment(reference=reference)
    leave_in_flight(reference, settings)
    if whose == "another host's":
        Payment.objects.update(in_flight_by="another.example.com 1 1")
    before = row(reference)

    end_dead_requests()

    assert row(reference) == before


@pytest.mark.parametrize("call", [charge_payment, cancel_payment])
def test_an_error_ends_the_mark(provider: Provider, reference: str, call: Callable[..., None]) -> None:
    charge_in_vain(provider, reference)
    assert row(reference)["in_flight_until"] is None
    provider.control(fault="down")

    with pytest.raises(GatewayUnavailable):
        call(reference=reference)

    assert (row(reference)["in_flight_until"], row(reference)["in_flight_by"]) == (None, "")


class LateGateway(StripeGateway):
    """Its error comes when another process has begun to ask, with that one's mark in the row."""

    def charge(self, request: ChargeRequest) -> Charge:
        land(request.reference)
        Payment.objects.update(in_flight_until=Now() + timedelta(minutes=1), in_flight_by="other 1 1", last_error="its")
        raise GatewayUnavailable("late")


def test_an_error_that_comes_late_leaves_another_processs_mark(reference: str, settings: LazySettings) -> None:
    make_payment(reference=reference)
    use_gateway(LateGateway, settings)

    with pytest.raises(GatewayUnavailable):
        charge_payment(reference=reference)

    assert (row(reference)["in_flight_by"], row(reference)["last_error"]) == ("other 1 1", "its")


def make_refused_payment(reference: str) -> Payment:
    """Of an amount that the provider never takes."""
    payment = create_payment(reference=reference, number=1, amount=5_124, currency="KWD", payment_method="pm_card_visa")
    assert payment
    return Payment.objects.get(pk=payment)


def charge_refused(reference: str) -> None:
    with pytest.raises(RequestRefused):
        charge_payment(reference=reference)


def test_a_payment_that_was_only_ever_refused_is_asked_for_until_it_is_cancelled(reference: str) -> None:
    make_refused_payment(reference)
    for _ in range(2):
        charge_refused(reference)
    before = row(reference)
    assert (before["status"], before["only_refused"], before["in_flight_until"]) == ("SENT", True, None)
    assert "multiple of 10" in before["last_error"]

    cancel_payment(reference=reference)

    after = row(reference)
    assert (after["status"], after["last_error"]) == ("CANCELLED", before["last_error"])
    assert charged(reference) == []


def lose_an_answer(provider: Provider, reference: str, settings: LazySettings) -> None:
    provider.control(fault="down")
    with pytest.raises(GatewayUnavailable):
        charge_payment(reference=reference)
    provider.control()


def die_in_flight(provider: Provider, reference: str, settings: LazySettings) -> None:
    leave_in_flight(reference, settings)
    land(reference)


@pytest.mark.parametrize("happen", [lose_an_answer, die_in_flight])
@pytest.mark.parametrize("refused_before", [False, True])
def test_what_was_asked_without_an_answer_is_looked_up_before_it_is_cancelled(
    provider: Provider,
    reference: str,
    settings: LazySettings,
    happen: Callable[[Provider, str, LazySettings], None],
    refused_before: bool,
) -> None:
    make_refused_payment(reference)
    if refused_before:
        charge_refused(reference)
    happen(provider, reference, settings)
    charge_refused(reference)
    assert not row(reference)["only_refused"]
    provider.charge_again(reference, amount=700)  # what the lost request took, for all we know

    with pytest.raises(GatewayUnavailable, match="took 700 GBP"):
        cancel_payment(reference=reference)
    assert row(reference)["status"] == "SENT"

    provider.forget_everything()
    cancel_payment(reference=reference)
    assert row(reference)["status"] == "CANCELLED"


def intent(**odd: Any) -> tuple[int, str]:
    """An answer that would be a charge, but for what is odd in it."""
    good = {"object": "payment_intent", "id": "pi_1", "status": "succeeded", "created": 1, "latest_charge": None}
    money = {"amount_received": 1234, "currency": "gbp", "metadata": {"reference": "T-odd"}}
    return 200, json.dumps({**good, **money, **odd})


def error(**odd: Any) -> tuple[int, str]:
    """An answer that would be a decline, but for what is odd in it."""
    return 402, json.dumps({"error": {"type": "card_error", "code": "card_declined", "message": "no", **odd}})


@pytest.mark.parametrize(
    "answer",
    [
        intent(created="1"),
        intent(created=10**30),
        intent(created=float("inf")),
        intent(created=None),
        intent(metadata=[]),
        intent(metadata="T-odd"),
        intent(metadata={"reference": "T-other"}),
        intent(metadata={"reference": ["T-odd"]}),
        intent(amount_received="1234"),
        intent(amount_received=1234.0),
        intent(amount_received=10**400),
        intent(amount_received=[]),
        intent(currency=826),
        intent(id=1),
        intent(id="pi_\0"),
        intent(id=""),
        intent(id="p" * 300),
        intent(status=None),
        intent(status=["succeeded"]),
        intent(status="\0"),
        intent(status="requires_payment_method", last_payment_error="no"),
        intent(status="requires_payment_method", last_payment_error={"code": 7}),
        intent(latest_charge={"object": "charge", "amount_refunded": "0"}),
        error(code=["card_declined"]),
        error(code="card\0declined"),
        error(decline_code={"a": 1}),
        error(code="\ud800"),
        error(payment_intent="pi_1"),
        error(payment_intent=[]),
        (400, '{"error": {"type": ["invalid_request_error"], "message": {}}}'),
        (400, '{"error": "invalid_grant"}'),
        (400, '{"error": []}'),
        (200, "[]"),
        (200, "null"),
        (200, '"x"'),
        (200, "[" * 100_000),
        (200, '{"created": ' + "9" * 5000 + "}"),
        (200, "\ufffd\0"),
        (200, ""),
        (204, ""),
    ],
)
def test_an_odd_answer_is_unknown_and_its_error_is_written_down(
    settings: LazySettings, answer: tuple[int, str]
) -> None:
    make_payment(reference="T-odd")
    with nonsense_provider(*answer) as settings.STRIPE_API_BASE:
        get_gateway.cache_clear()
        for ask in (charge_payment, cancel_payment):
            with pytest.raises(GatewayUnavailable):
                ask(reference="T-odd")

            payment = row("T-odd")
            assert (payment["status"], payment["provider_id"], payment["in_flight_until"]) == ("SENT", None, None)
            assert payment["last_error"]


def test_words_of_a_refusal_that_postgresql_can_not_hold_are_written_down_without_it(
    settings: LazySettings, reference: str
) -> None:
    make_payment(reference=reference)
    words = '{"error": {"type": "invalid_request_error", "code": "x", "message": "a\\u0000b\\ud800c"}}'
    with nonsense_provider(400, words) as settings.STRIPE_API_BASE:
        get_gateway.cache_clear()
        charge_refused(reference)

        assert row(reference)["last_error"] == "the provider answered 400 x: ab?c"


def test_cancel_payment_of_one_that_never_arrived_is_final(provider: Provider, reference: str) -> None:
    charge_in_vain(provider, reference)

    cancel_payment(reference=reference)

    assert Payment.objects.get().status == Status.CANCELLED
    assert charged(reference) == []


def test_cancel_payment_of_one_that_was_charged_says_so(reference: str) -> None:
    make_payment("pm_sandbox_drop", reference=reference)
    with pytest.raises(GatewayUnavailable):
        charge_payment(reference=reference)

    cancel_payment(reference=reference)

    assert Payment.objects.get().status == Status.SUCCEEDED
    assert charged(reference) == [1234]


@pytest.mark.parametrize("method", ["pm_card_visa", "pm_card_visa_chargeDeclined"])
def test_cancel_payment_comes_too_late_for_one_with_an_answer(method: str, reference: str) -> None:
    make_payment(method, reference=reference)
    charge_payment(reference=reference)
    before, money = row(reference), charged(reference)

    cancel_payment(reference=reference)

    assert (row(reference), charged(reference)) == (before, money)


def test_cancel_payment_while_the_provider_is_down_decides_nothing(provider: Provider, reference: str) -> None:
    make_payment("pm_sandbox_drop", reference=reference)
    with pytest.raises(GatewayUnavailable):
        charge_payment(reference=reference)
    provider.control(fault="down")

    with pytest.raises(GatewayUnavailable):
        cancel_payment(reference=reference)

    assert Payment.objects.get().status == Status.SENT


@pytest.mark.parametrize(
    "broken",
    [
        "UPDATE payments_payment SET status = 'PAID'",
        "UPDATE payments_payment SET status = 'SUCCEEDED', sent_at = now()",  # without the provider's id
        "UPDATE payments_payment SET status = 'DECLINED', sent_at = now()",  # without a code
        "UPDATE payments_payment SET status = 'SENT'",  # without the time
        "UPDATE payments_payment SET provider_id = 'pi_1'",  # while PENDING
        "UPDATE payments_payment SET amount = 0",
    ],
)
def test_the_database_refuses_impossible_payments(broken: str, reference: str) -> None:
    make_payment(reference=reference)
    before = row(reference)

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(broken)

    assert row(reference) == before


def ask_until_answered(reference: str) -> None:
    for _ in range(20):
        try:
            return charge_payment(reference=reference)
        except GatewayUnavailable:
            continue
    raise AssertionError("the provider never answered")
