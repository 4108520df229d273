"""What PostgreSQL plans anew for each order costs as much again."""

import pytest
from django.db import connection

from orders.services import finalize_order
from payments.models import Payment
from tests.builders import answer_payment, make_order, make_product

pytestmark = pytest.mark.django_db(transaction=True)

KEPT_AFTER = 5  # plans that are made for the values: https://www.postgresql.org/docs/current/sql-prepare.html


def test_no_statement_of_an_order_is_planned_anew_for_each_order() -> None:
    connection.close()  # a new session has prepared nothing
    make_product("MUG", stock=100)
    make_product("CUP", stock=100)

    for number in range(20):
        order = make_order({"CUP": 1, "MUG": 2} if number % 2 else {"MUG": 1})
        answer_payment(order, Payment.Status.SUCCEEDED)
        finalize_order(code=order.code)

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT statement, custom_plans FROM pg_prepared_statements WHERE generic_plans + custom_plans > 9"
        )
        plans = dict(cursor.fetchall())
    ours = {statement: custom for statement, custom in plans.items() if '"' not in statement}  # the ORM quotes names
    assert len(ours) > 3
    assert [statement for statement, custom in ours.items() if custom > KEPT_AFTER] == []
