import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import Permission
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from audit.models import AuditRun, Tick
from audit.services import record_audit
from backoffice.dashboard import Dashboard, read_dashboard
from backoffice.figures import format_seconds
from catalog.models import Product, Stock
from orders.models import Order, OrderEvent
from orders.services import finalize_order
from payments.models import Payment
from payments.services import charge_payment
from tests.backoffice.staff import log_in_staff
from tests.builders import answer_payment, make_order, make_product, tamper

pytestmark = pytest.mark.django_db
PAGE = "/admin/orders/order/dashboard/"


def make_confirmed_order(*, seconds: int = 2, **ages: float) -> Order:
    """A confirmed order that was finalized that long ago, `seconds` after it was placed."""
    order = make_order()
    answer_payment(order, Payment.Status.SUCCEEDED)
    finalize_order(code=order.code)
    finalized_at = timezone.now() - timedelta(**ages)
    placed_at = finalized_at - timedelta(seconds=seconds)
    tamper(
        "UPDATE orders_order SET finalized_at = %s, created_at = %s WHERE id = %s", finalized_at, placed_at, order.pk
    )
    return order


def figure(dashboard: Dashboard, title: str) -> str:
    return next(figure.value for figure in dashboard.figures if figure.title.startswith(title))


def make_report(*, charges: int = 0) -> dict[str, Any]:
    return {"ok": True, "checked": {"charges": charges}, "violations": []}


def read_reconciliation() -> tuple[str, bool]:
    found = next(figure for figure in read_dashboard().figures if figure.title.startswith("Reconciled"))
    return found.value, found.alarm


def shown(dashboard: Dashboard, name: str) -> list[tuple[str, list[str]]]:
    """The rows of a chart that are not empty."""
    chart = next(chart for chart in dashboard.charts if chart.name == name)
    return [(label, values) for label, values in chart.rows if set(values) - {"0", "£0.00", "0.0 s"}]


def test_the_dashboard_counts_what_waits() -> None:
    _quiet, stuck, review, unknown, given_up, acting = (make_order() for _ in range(6))
    Order.objects.filter(pk=stuck.pk).update(sweep_after=timezone.now() - timedelta(seconds=5))
    Order.objects.filter(pk=review.pk).update(needs_review=True)
    answer_payment(unknown, Payment.Status.SENT)
    answer_payment(acting, Payment.Status.ACTION_REQUIRED)
    Order.objects.filter(pk=given_up.pk).update(sweep_after=None, needs_review=True)
    Tick.objects.update(ended_at=Now())

    dashboard = read_dashboard()

    assert [figure(dashboard, title) for title in ("Pending", "Stuck", "Payment unknown")] == ["6", "1", "1"]
    assert [figure(dashboard, title) for title in ("Customer must act", "Needs review", "Given up")] == ["1", "2", "1"]
    alarms = {figure.title for figure in dashboard.figures if figure.alarm}
    assert alarms == {"Needs review", "Given up"}


def test_the_charts_have_the_orders_and_the_money_of_their_window_alone() -> None:
    make_product("MUG", price=255)
    make_confirmed_order()
    make_confirmed_order(days=3)
    make_confirmed_order(days=15)
    make_order()

    dashboard = read_dashboard()

    placed = [[int(count) for count in counts] for _, counts in shown(dashboard, "orders")]
    assert [sum(counts) for counts in zip(*placed, strict=True)] == [1, 1, 0]
    assert [values for _, values in shown(dashboard, "money")] == [["£2.55"], ["£2.55"]]


def test_the_times_to_confirm_are_those_of_the_last_day() -> None:
    for seconds in (1, 3, 5):
        make_confirmed_order(seconds=seconds)
    make_confirmed_order(seconds=900, days=2)

    dashboard = read_dashboard()

    assert figure(dashboard, "Half are confirmed within") == "3.0 s"
    assert figure(dashboard, "19 of 20 are confirmed within") == "4.8 s"
    assert [values for _, values in shown(dashboard, "times")] == [["3.0 s", "4.8 s"]]


def test_the_repairs_are_the_orders_that_were_swept_and_those_of_them_that_ended() -> None:
    pending, confirmed = make_order(), make_confirmed_order()
    for order in (pending, pending, confirmed):
        OrderEvent.objects.create(order=order, kind=OrderEvent.Kind.SWEPT)
    yesterday = timezone.now() - timedelta(hours=25)
    OrderEvent.objects.create(order=make_order(), kind=OrderEvent.Kind.SWEPT, created_at=yesterday)

    assert figure(read_dashboard(), "Swept") == "2 (1 final)"


def test_the_last_audit_alarms_when_it_is_not_clean_or_old() -> None:
    def read_audit() -> tuple[str, bool]:
        return next((figure.value, figure.alarm) for figure in read_dashboard().figures if "audit" in figure.title)

    assert read_audit() == ("never", False)  # a shop of a minute; see the liveness for one that waits in vain
    run = AuditRun.objects.create(ok=True, report=make_report())
    assert read_audit() == ("clean, 0.0 s ago", False)
    AuditRun.objects.update(created_at=run.created_at - timedelta(hours=5))
    assert read_audit() == ("clean, 5 h ago", True)
    AuditRun.objects.create(ok=False, report=make_report())
    assert read_audit() == ("NOT clean, 0.0 s ago", True)


@pytest.mark.parametrize(
    ("report", "value", "alarm"),
    [
        (make_report(charges=1_234), "1,234 charges, 0 differences", False),
        (make_report(charges=1), "1 charge, 0 differences", False),
        ({"ok": False, "error": "no answer"}, "the provider could not be asked", True),
    ],
)
def test_the_reconciliation_says_how_many_charges_were_compared(
    report: dict[str, Any], value: str, alarm: bool
) -> None:
    AuditRun.objects.create(ok=False, report=report)

    assert read_reconciliation() == (value, alarm)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("gateway", "empty_ledger")
def test_the_reconciliation_counts_what_differs_from_the_providers_ledger_alone() -> None:
    paid = make_order()
    charge_payment(reference=paid.code)
    finalize_order(code=paid.code)
    assert record_audit().ok
    assert read_reconciliation() == ("1 charge, 0 differences", False)

    tamper(
        "UPDATE orders_order SET total = total + 1 WHERE id = %s", paid.pk
    )  # differs from its lines and from its charge
    make_confirmed_order()  # without a charge
    assert record_audit().report["violations"][0]["invariant"] == "A2"
    assert read_reconciliation() == ("1 charge, 2 differences", True)

    Stock.objects.update(on_hand=99)
    tamper("UPDATE orders_order SET total = total - 1 WHERE id = %s", paid.pk)
    assert read_reconciliation() == ("1 charge, 2 differences", True)  # of the last audit, not of now
    record_audit()
    assert read_reconciliation() == ("1 charge, 1 difference", True)


def test_the_last_audit_links_to_its_page_for_those_who_may_see_it(admin_client: Client) -> None:
    run = AuditRun.objects.create(ok=True, report=make_report())
    page = f"/admin/audit/auditrun/{run.pk}/change/"
    client = log_in_staff("view_order")

    assert f'href="{page}"' in admin_client.get(PAGE).text
    assert page not in client.get(PAGE).text
    assert admin_client.get(page).status_code == 200


def test_what_runs_out_is_what_is_for_sale_and_has_few_units_available(settings: LazySettings) -> None:
    settings.SHOP_LOW_STOCK = 5
    make_product("FULL", stock=6)
    make_product("LOW", stock=5)
    make_product("RESERVED", stock=10)
    make_product("OFF", stock=0, active=False)
    make_order({"RESERVED": 8})

    assert [stock.product.sku for stock in read_dashboard().running_out] == ["RESERVED", "LOW"]


def test_the_page_draws_every_chart_with_its_values_as_text_and_nothing_inline(admin_client: Client) -> None:
    make_product("MUG", price=255)
    make_confirmed_order()

    text = admin_client.get(PAGE).text

    main = text[text.index('<div id="content-main">') :]
    for needed in ('role="img"', "<desc", "£2.55", "confirmed", "The MUG"):
        assert needed in main
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|https?://(?!www\.w3\.org)", main)
    assert PAGE in admin_client.get("/admin/").text


def test_the_page_of_an_empty_shop_is_shown(admin_client: Client) -> None:
    assert "No product on sale is running out." in admin_client.get(PAGE).text


def test_the_page_is_for_those_who_may_see_orders() -> None:
    staff = User.objects.create_user("staff@example.com", is_staff=True)
    client = Client()
    client.force_login(staff)

    assert client.get(PAGE).status_code == 403
    assert PAGE not in client.get("/admin/").text
    staff.user_permissions.add(Permission.objects.get(codename="view_order"))
    assert client.get(PAGE).status_code == 200
    assert Client().get(PAGE).status_code == 302


@pytest.mark.parametrize("orders", [2, 20])
def test_the_dashboard_needs_as_many_queries_for_2_orders_as_for_20(
    django_assert_num_queries: DjangoAssertNumQueries, orders: int
) -> None:
    make_product("MUG", stock=orders)
    for _ in range(orders):
        make_confirmed_order()
    assert Product.objects.count() == 1

    with django_assert_num_queries(20):
        read_dashboard()


def test_a_time_is_as_short_as_it_can_be_read() -> None:
    times = [format_seconds(seconds) for seconds in (0.44, 12.3, 119, 180, 7200, 3600 * 24 * 5)]

    assert times == ["0.4 s", "12 s", "119 s", "3 min", "2 h", "5 days"]
