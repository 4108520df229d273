"""docs/api.md, "From a declined card to a refund": its commands are sent as they stand."""

import re
import shlex
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from events_out.feed import move_horizon
from orders.models import Order
from orders.refund_answers import record_refund
from orders.services import finalize_order
from payments.models import Payment
from payments.refund_models import Refund
from payments.refund_requests import record_answer
from tests.api.clients import make_token
from tests.builders import answer_payment, make_product

pytestmark = pytest.mark.django_db
PAGE = (settings.BASE_DIR / "docs" / "api.md").read_text()
SECTION = PAGE.partition("## From a declined card to a refund\n")[2].partition("\n## ")[0]
SCRIPT = "\n".join(re.findall(r"^    (.+)$", SECTION, re.MULTILINE))


def read_commands() -> Iterator[list[str]]:
    """The arguments of each curl, in the order of the page."""
    for command in re.split(r"^(?=curl |[A-Z]+=)", SCRIPT, flags=re.MULTILINE):
        if command.startswith("curl "):
            yield shlex.split(command, comments=True)[1:]


def curl(client: Client, arguments: list[str], names: dict[str, str]) -> Any:
    """What curl would send, and the answer."""
    for name, value in names.items():
        arguments = [argument.replace(f"${name}", value) for argument in arguments]
    parser = ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="body")
    sent = parser.parse_args(arguments)
    headers = dict(header.split(": ") for header in sent.headers)
    if sent.body is None:
        return client.get(sent.address, headers=headers)
    return client.post(sent.address, sent.body, content_type=headers.pop("Content-Type"), headers=headers)


def answer_as_the_provider() -> None:
    """The worker has done what was asked for: it declines the first payment, and takes and refunds the second."""
    order = Order.objects.get()
    payment = Payment.objects.get(pk=order.payment_id)
    if payment.status == Payment.Status.PENDING:
        answer_payment(order, Payment.Status.DECLINED if payment.number == 1 else Payment.Status.SUCCEEDED)
        finalize_order(code=order.code)
    for refund in Refund.objects.filter(status=Refund.Status.REQUESTED):
        record_answer(refund, status=Refund.Status.SUCCEEDED, provider_id="re_1")
        record_refund(key=refund.key)
    move_horizon()


def test_the_commands_lead_from_nothing_to_a_refund_and_its_event(client: Client) -> None:
    make_product("85123A")
    names = {"API": "/api/v1", "TOKEN": make_token("refunds", "stock", "events")}
    answers = []
    for arguments in read_commands():
        answers.append(curl(client, arguments, names))
        if order := Order.objects.first():
            names["CODE"] = order.code
            answer_as_the_provider()

    assert [answer.status_code for answer in answers] == [201, 200, 201, 200, 201, 200, 200]
    assert answers[1].json()["payment"]["status"] == "DECLINED"
    assert answers[3].json()["status"] == "CONFIRMED"
    assert [event["data"]["refund"]["status"] for event in answers[6].json()["data"]] == ["SUCCEEDED"]
