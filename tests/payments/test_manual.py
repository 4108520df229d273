"""What only the gateway of transfers does; what it has in common with every gateway is in the contract."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection

from payments.gateway import GatewayUnavailable, RefundRefused
from payments.manual import ManualGateway, TransferReused, ask_for_refund, record_arrival, record_sent_refund
from payments.transfers import Transfer, TransferAnswer, TransferRefund
from tests.provider import make_request

pytestmark = pytest.mark.django_db
TODAY = datetime.now(UTC).date()
REQUEST = make_request("transfer", amount=1_000)


@pytest.fixture
def manual() -> ManualGateway:
    return ManualGateway()


def arrive(**changes: Any) -> Transfer:
    asked: dict[str, Any] = {"reference": REQUEST.reference, "amount": 1_000, "currency": "GBP", "provider_id": "B-1"}
    transfer, _ = record_arrival(**asked | changes, arrived_on=TODAY)
    return transfer


@pytest.mark.parametrize("other", [{"amount": 999}, {"amount": 1_001}, {"currency": "EUR"}, {"reference": "another"}])
def test_only_a_transfer_of_exactly_what_is_asked_for_pays(manual: ManualGateway, other: dict[str, Any]) -> None:
    with pytest.raises(GatewayUnavailable, match="no transfer of this amount"):
        manual.charge(REQUEST)
    arrive(**other)
    with pytest.raises(GatewayUnavailable, match="no transfer of this amount"):
        manual.charge(REQUEST)

    arrive(provider_id="B-2")

    assert manual.charge(REQUEST).provider_id == "B-2"


def test_the_first_of_two_transfers_pays_and_the_other_does_not(manual: ManualGateway) -> None:
    arrive()
    arrive(provider_id="B-2")

    assert manual.charge(REQUEST).provider_id == manual.charge(REQUEST).provider_id == "B-1"
    assert TransferAnswer.objects.count() == 1


def test_what_is_to_be_sent_back_pays_nothing_and_is_owed_for_a_while(
    manual: ManualGateway, settings: LazySettings
) -> None:
    transfer = arrive()
    assert [charge.owed for charge in manual.list_charges()] == [0]  # nobody is to send it back: it is kept

    ask_for_refund(transfer, key="r-1", amount=1_000)

    with pytest.raises(GatewayUnavailable):
        manual.charge(REQUEST)
    assert manual.cancel(REQUEST) is None
    assert [charge.owed for charge in manual.list_charges()] == [1_000]
    settings.TRANSFER_REFUND_DAYS = 0
    assert [charge.owed for charge in manual.list_charges()] == [0]


def test_a_refund_waits_for_staff_and_is_then_known_by_the_banks_reference(manual: ManualGateway) -> None:
    arrive()
    charge = manual.charge(REQUEST)
    asked: dict[str, Any] = {"key": "refund-1", "reference": REQUEST.reference, "provider_id": "B-1", "amount": 400}
    for _ in range(2):
        with pytest.raises(GatewayUnavailable, match="staff have to send it"):
            manual.refund(**asked)
    (refund,) = TransferRefund.objects.all()
    assert manual.retrieve("B-1") == charge

    record_sent_refund(pk=refund.pk, provider_id="B-back", sent_on=TODAY)

    assert manual.refund(**asked) == "B-back"
    retrieved = manual.retrieve("B-1")
    assert retrieved
    assert (retrieved.refunded, retrieved.owed) == (400, 0)


@pytest.mark.parametrize(
    ("wrong", "bad_news", "words"),
    [
        ({"amount": 601, "key": "refund-2"}, RefundRefused, "only 600 is left"),
        ({"amount": 300}, GatewayUnavailable, "another refund"),
        ({"provider_id": "B-9", "key": "refund-2"}, RefundRefused, "no transfer B-9"),
    ],
)
def test_a_refund_that_can_not_be_is_not_asked_for(
    manual: ManualGateway, wrong: dict[str, Any], bad_news: type[Exception], words: str
) -> None:
    arrive()
    asked: dict[str, Any] = {"key": "refund-1", "reference": REQUEST.reference, "provider_id": "B-1", "amount": 400}
    with pytest.raises(GatewayUnavailable):
        manual.refund(**asked)

    with pytest.raises(bad_news, match=words):
        manual.refund(**asked | wrong)

    assert [(refund.key, refund.amount) for refund in TransferRefund.objects.all()] == [("refund-1", 400)]


def test_one_reference_of_the_bank_is_one_transfer_and_one_refund() -> None:
    first, second = arrive(), arrive(provider_id="B-2")
    for wrong in ({"amount": 1}, {"reference": "another"}, {"currency": "EUR"}):
        with pytest.raises(TransferReused):
            arrive(**wrong)
    refunds = [ask_for_refund(transfer, key=transfer.provider_id, amount=1) for transfer in (first, second)]

    assert record_sent_refund(pk=refunds[0].pk, provider_id="B-back", sent_on=TODAY)
    assert not record_sent_refund(pk=refunds[0].pk, provider_id="B-back", sent_on=TODAY)
    for pk, bank_id in ((refunds[1].pk, "B-back"), (refunds[0].pk, "B-other")):
        with pytest.raises(TransferReused):
            record_sent_refund(pk=pk, provider_id=bank_id, sent_on=TODAY)


def test_a_ledger_that_can_not_be_read_is_unknown(manual: ManualGateway) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE payments_transfer RENAME TO payments_elsewhere")

    with pytest.raises(GatewayUnavailable, match="the ledger of transfers can't be read"):
        manual.charge(REQUEST)


def test_the_customer_is_told_where_to_send_what(manual: ManualGateway, settings: LazySettings) -> None:
    settings.TRANSFER_ACCOUNT_HOLDER, settings.TRANSFER_ACCOUNT = "Tea Shop Ltd", "1234"
    told = dict(manual.instructions(reference="T-1", amount=1_000, currency="GBP"))
    assert list(told.values()) == ["Tea Shop Ltd", "1234", "£10.00", "T-1"]

    settings.TRANSFER_BANK, settings.TRANSFER_DAYS = "BUKBGB22", 3
    told = dict(manual.instructions(reference="T-1", amount=1_000, currency="GBP"))
    assert told["Bank"] == "BUKBGB22"
    assert manual.time_to_pay == timedelta(days=3)
    assert manual.payment_form() is None
