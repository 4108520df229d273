"""What an event says, and that docs/events.md says the same."""

import json
import re
import subprocess
import sys
import time
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings, settings
from django.core.management import CommandError, call_command
from django.utils import timezone

from events_out.answers import GIVE_UP_AFTER, PAUSES, REST, REST_MAX
from events_out.deliveries import deliver_to_endpoint
from events_out.endpoints import OVERLAP, send_test
from events_out.event_types import TYPES
from events_out.feed import list_events, move_horizon
from events_out.models import Delivery, Endpoint
from events_out.payloads import describe_event, encode
from events_out.planning import plan_deliveries
from lab.stack.embedded import free_port
from orders.disputes import record_dispute
from orders.models import Order, OrderEvent
from orders.refund_answers import record_refund
from orders.services import cancel_order, finalize_order
from payments.gateway import ProviderDispute
from payments.models import Payment
from payments.refund_models import Refund
from payments.refund_requests import record_answer
from tests.builders import answer_payment, everything, make_endpoint, make_order, request_refund
from tests.receiver import Receiver

pytestmark = pytest.mark.django_db
PAGE = (settings.BASE_DIR / "docs" / "events.md").read_text()


def read_events() -> list[dict[str, Any]]:
    move_horizon()
    return [json.loads(encode(describe_event(event))) for event in list_events()]


def make_paid() -> Order:
    order = make_order({"MUG": 3})
    answer_payment(order, Payment.Status.SUCCEEDED)
    return finalize_order(code=order.code)


def end_refund(order: Order, status: Refund.Status) -> None:
    refund = request_refund(order, units=1)
    succeeds = status == Refund.Status.SUCCEEDED
    code = "" if succeeds else "expired_or_canceled_card"
    record_answer(refund, status=status, provider_id="re_1" if succeeds else None, failure_code=code)
    record_refund(key=refund.key)


def dispute(order: Order, status: Any) -> None:
    made = ProviderDispute(
        provider_id="dp_1",
        charge_id=str(order.payment.provider_id),
        amount=order.total,
        currency=order.currency,
        reason="fraudulent",
        status=status,
        respond_by=None,
        created_at=timezone.now(),
    )
    record_dispute(gateway="stripe", made=made, asked_at=timezone.now())


def list_names(value: Any) -> Any:
    """The names of all fields, and what lies below each."""
    if isinstance(value, dict):
        return {name: list_names(inner) for name, inner in value.items()}
    return [list_names(inner) for inner in value[:1]] if isinstance(value, list) else None


def test_an_event_says_what_happened_and_how_the_order_is_now() -> None:
    order = make_order({"MUG": 2}, email="ann@example.com")
    cancel_order(code=order.code, reason=Order.CancelReason.CUSTOMER)

    placed, cancelled = read_events()
    assert (placed["type"], cancelled["type"]) == ("order.placed", "order.cancelled")
    assert placed["id"] == f"evt_{OrderEvent.objects.get(kind='placed').pk}"
    assert placed["version"] == 1
    order.refresh_from_db()
    assert (
        placed["data"]
        == cancelled["data"]
        == {
            "order": {
                "code": order.code,
                "status": "CANCELLED",
                "reason": "customer",
                "currency": "GBP",
                "total": 1000,
                "refunded": 0,
                "needs_review": False,
                "metadata": {},
                "created_at": format_time(order.created_at),
                "finalized_at": format_time(order.finalized_at),
                "lines": [{"sku": "MUG", "name": "The MUG", "quantity": 2, "price": 500, "total": 1000}],
            }
        }
    )


def format_time(time: Any) -> str:
    return str(json.loads(encode({"time": time}))["time"])


def test_a_refund_says_what_went_back_and_looks_as_the_page_says() -> None:
    end_refund(make_paid(), Refund.Status.SUCCEEDED)

    told = read_events()[-1]
    assert told["data"]["refund"] == {"number": 1, "amount": 500, "status": "SUCCEEDED"}
    assert told["data"]["order"]["refunded"] == 500
    (shown,) = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
    assert list_names(told) == list_names(shown)
    assert told["type"] == shown["type"]


def test_a_refund_that_failed_needs_review() -> None:
    end_refund(make_paid(), Refund.Status.FAILED)

    told = read_events()[-1]
    assert (told["type"], told["data"]["refund"]["status"]) == ("order.needs_review", "FAILED")
    assert told["data"]["order"]["needs_review"]


def test_a_dispute_is_told_of_when_it_opens_and_when_it_ends() -> None:
    order = make_paid()
    dispute(order, "open")
    dispute(order, "won")

    opened, closed = read_events()[-2:]
    shown = json.loads(re.findall(r'`({"id": "dp_1".*?})`', PAGE)[0])
    assert opened["data"]["dispute"] == {**shown, "amount": order.total}
    assert closed["data"]["dispute"] == {**shown, "amount": order.total, "status": "WON"}
    assert {opened["type"], closed["type"]} == {"order.disputed"}


def test_no_event_has_the_customer_or_the_card_in_it() -> None:
    order = make_order(email="ann@example.com", payment_method="pm_card_visa")
    order.add_event(OrderEvent.Kind.REVIEW_NEEDED, reason="ann@example.com has a secret", note="for staff")

    assert [event["type"] for event in read_events()] == ["order.placed", "order.needs_review"]
    assert not re.search("ann|visa|secret|staff", json.dumps(read_events()))


def test_the_page_names_every_type_and_no_other() -> None:
    assert re.findall(r"^\| `(order\.\w+)` \|", PAGE, re.MULTILINE) == list(TYPES)


def test_the_page_says_when_a_delivery_is_tried_again() -> None:
    units = {"second": 1, "minute": 60, "hour": 3600}
    words = " ".join(PAGE.split())
    listed = words[words.index("at once, and after") : words.index("each a tenth")]
    told = [int(count) * units[unit] for count, unit in re.findall(r"(\d+) (second|minute|hour)", listed)]

    assert told == PAUSES
    assert f"left alone for {REST} seconds" in words
    assert f"up to {REST_MAX // 60} minutes" in words
    assert timedelta(days=3) == GIVE_UP_AFTER
    assert timedelta(hours=24) == OVERLAP


def test_the_receiver_of_the_page_takes_an_event_and_a_test(
    settings: LazySettings, receiver: Receiver, tmp_path: Path
) -> None:
    """Its program is run, with the secret that its command prints."""
    (program,) = re.findall(r"<<'END'\n(.*?)\n    END\n", PAGE, re.DOTALL)
    file, port, out = tmp_path / "receiver.py", free_port(), StringIO()
    file.write_text(re.sub("^    ", "", program, flags=re.MULTILINE))
    call_command("add_webhook_endpoint", "Mine", f"http://127.0.0.1:{port}/", stdout=out)
    order = make_order()
    move_horizon()
    plan_deliveries()
    test = send_test(pk=Endpoint.objects.get().pk)

    command = [sys.executable, str(file), out.getvalue().strip(), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            for _ in range(100):  # until it listens
                Endpoint.objects.update(resting_until=None)
                Delivery.objects.waiting().update(deliver_after=timezone.now() - timedelta(seconds=1))
                deliver_to_endpoint(pk=Endpoint.objects.get().pk)
                if not Delivery.objects.waiting().exists():
                    break
                time.sleep(0.05)
        finally:
            running.terminate()
        printed = running.stdout.read() if running.stdout else ""
    event = OrderEvent.objects.get()
    lines = [f"evt_{event.pk} order.placed {order.code}", f"test_{test.pk} endpoint.test -"]
    assert sorted(printed.splitlines()) == sorted(lines)


def test_an_endpoint_is_added_by_a_command_for_the_types_that_are_named() -> None:
    call_command("add_webhook_endpoint", "Warehouse", "https://example.com/", "order.confirmed", stdout=StringIO())

    assert Endpoint.objects.get().types == ["order.confirmed"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["Warehouse", "https://example.com/"], "already"),
        (["Other", "https://169.254.169.254/"], "not public"),
        (["Other", "https://example.com/", "order.nothing"], "no type order.nothing"),
    ],
)
def test_an_endpoint_that_may_not_be_is_refused(arguments: list[str], words: str) -> None:
    make_endpoint()
    before = everything()
    with pytest.raises(CommandError, match=words):
        call_command("add_webhook_endpoint", *arguments)

    assert everything() == before
