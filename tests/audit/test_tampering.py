import pytest
from django.db import IntegrityError, connection

from audit.invariants import CHECKS
from audit.services import audit_orders
from orders.models import Order
from orders.refund_answers import record_refund
from orders.services import finalize_order
from payments.disputes import look_up_dispute
from payments.refunds import refund_payment
from payments.services import charge_payment
from tests.audit.dispute_tampering import DISPUTE_TAMPERINGS
from tests.audit.document import DOCUMENT, render
from tests.audit.refund_tampering import REFUND_TAMPERINGS
from tests.audit.tampering import TAMPERINGS, Tampering
from tests.builders import everything, make_order, make_product, request_refund, tamper
from tests.provider import Provider

pytestmark = pytest.mark.django_db(transaction=True)
METHODS = {"CANCELLED": "pm_card_visa_chargeDeclined"}
ALL = [*TAMPERINGS, *REFUND_TAMPERINGS, *DISPUTE_TAMPERINGS]
REFUSED = [tampering for tampering in ALL if tampering.refused_by]
FOUND = [tampering for tampering in ALL if tampering.found]


def name(tampering: Tampering) -> str:
    return f"{tampering.status}: {tampering.words}"


@pytest.fixture(autouse=True)
def _shop(transfers: None, empty_ledger: None) -> None:
    make_product("MUG")
    make_product("CUP")


def make_order_that_is(status: str, provider: Provider) -> Order:
    order = make_order({"MUG": 2}, payment_method=METHODS.get(status, "pm_card_visa"))
    if status == "PENDING":
        return order
    charge_payment(reference=order.code)
    order = finalize_order(code=order.code)
    if status.startswith("REFUND"):
        refund = request_refund(order, units=1)
        if status == "REFUNDED":
            refund_payment(key=refund.key)
            record_refund(key=refund.key)
    if status == "DISPUTED":
        dispute = provider.open_dispute(str(order.payment.provider_id))
        provider.execute("UPDATE dispute SET created = created - interval '5 minutes'")
        look_up_dispute(gateway="stripe", provider_id=dispute)
    return order


@pytest.mark.parametrize("tampering", REFUSED, ids=name)
def test_postgresql_refuses_what_would_break_an_invariant_and_changes_nothing(
    tampering: Tampering, provider: Provider
) -> None:
    make_order_that_is(tampering.status, provider)
    before = everything()

    with pytest.raises(IntegrityError, match=tampering.refused_by), connection.cursor() as cursor:
        cursor.execute(tampering.sql)

    assert everything() == before


@pytest.mark.parametrize("tampering", FOUND, ids=name)
def test_the_audit_reports_what_was_changed_past_postgresql(tampering: Tampering, provider: Provider) -> None:
    order = make_order_that_is(tampering.status, provider)
    assert audit_orders()["ok"]

    if tampering.sql:
        tamper(tampering.sql)
    if tampering.charge is not None:
        provider.charge_again(tampering.charge or order.code, amount=order.total)
    if tampering.refund:
        provider.refund(str(order.payment.provider_id), amount=tampering.refund)

    assert {violation["invariant"] for violation in audit_orders()["violations"]} == set(tampering.found)


def test_every_invariant_is_broken_by_something() -> None:
    assert {invariant for tampering in FOUND for invariant in tampering.found} == {c.invariant for c in CHECKS}


def test_a_tampering_that_nothing_refuses_is_found() -> None:
    assert [t.words for t in ALL if not t.refused_by and not t.found] == []


def test_the_tables_of_the_document_are_those_of_the_code() -> None:
    text = DOCUMENT.read_text()
    assert render(text) == text, "run: python -m tests.audit.document"
