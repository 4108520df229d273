"""docs/api.md lists every code with its status, and no other; so no program meets a code that nobody told of."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from api.problems import STATUSES
from orders import checkout, limits, refunds  # noqa: F401 - their refusals are subclasses by then
from orders.paying import PaymentRefused
from orders.pricing import CheckoutRefused
from payments.refunds import NotRefundable

ROW = re.compile(r"^\| (\d{3}) \| `(\w+)` \|", re.MULTILINE)
NEVER_ANSWERED = {"too_late_to_refund"}  # of a customer's refund, which the API does not have


def list_subclasses(refusal: type[Exception]) -> Iterator[type[Exception]]:
    for each in refusal.__subclasses__():
        yield each
        yield from list_subclasses(each)


def test_the_document_lists_every_code_with_its_status() -> None:
    document = (Path(settings.BASE_DIR) / "docs" / "api.md").read_text()

    listed = [(code, int(status)) for status, code in ROW.findall(document)]

    assert len(listed) == len(set(listed))
    assert dict(listed) == STATUSES


def test_every_refusal_of_orders_and_payments_has_a_status() -> None:
    refusals = [each for base in (CheckoutRefused, PaymentRefused, NotRefundable) for each in list_subclasses(base)]

    assert {str(vars(refusal).get("code", "")) for refusal in refusals} - {""} <= STATUSES.keys() | NEVER_ANSWERED


def test_every_refusal_of_the_api_itself_has_a_status() -> None:
    named = set()
    for path in (Path(settings.BASE_DIR) / "api").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Name(id="RequestRefused" | "answer_problem"), args=[ast.Constant(value=code), *_]
                ):
                    named.add(code)

    assert len(named) > 5
    assert named <= STATUSES.keys()
