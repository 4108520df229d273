from contextlib import suppress
from functools import partial

import pytest

from payments.gateway import GatewayUnavailable, get_gateway
from payments.models import Payment
from payments.services import cancel_payment, charge_payment, create_payment
from tests.concurrency.race import race

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("gateway", "empty_ledger")]


def make_payment(reference: str) -> None:
    create_payment(reference=reference, number=1, amount=1234, currency="GBP", payment_method="pm_card_visa")


def charges() -> list[int]:
    return [charge.amount for charge in get_gateway().list_charges()]


def test_charge_payment_many_times_at_once_takes_the_money_once(reference: str) -> None:
    make_payment(reference)

    race([partial(charge_payment, reference=reference)] * 8)

    with suppress(GatewayUnavailable):  # those that came while the first was under way were told to come again
        charge_payment(reference=reference)
    assert Payment.objects.get().status == Payment.Status.SUCCEEDED
    assert charges() == [1234]


def test_charge_payment_against_cancel_payment_ends_one_way(reference: str) -> None:
    for number in range(10):
        make_payment(f"{reference[:20]}-{number}")
        calls = [charge_payment, cancel_payment] * 2

        race([partial(call, reference=f"{reference[:20]}-{number}") for call in calls])

        for _ in range(20):
            with suppress(GatewayUnavailable):
                cancel_payment(reference=f"{reference[:20]}-{number}")
                break
    statuses = list(Payment.objects.values_list("status", flat=True))
    assert set(statuses) <= {"SUCCEEDED", "CANCELLED"}
    assert len(charges()) == statuses.count("SUCCEEDED")
