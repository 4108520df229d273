from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import User
from audit.models import Difference
from catalog.models import Product
from orders.models import Order
from orders.services import finalize_order
from payments.models import Payment
from payments.refund_models import Refund
from tests.builders import answer_payment, everything, make_order, stock_of

pytestmark = pytest.mark.django_db
PAGES = {
    "/admin/orders/order/": {"Support", "Finance"},
    "/admin/orders/order/dashboard/": {"Support", "Finance"},
    "/admin/audit/auditrun/": {"Finance"},
    "/admin/audit/difference/": {"Support", "Finance"},
    "/admin/payments/payment/": {"Support", "Finance"},
    "/admin/payments/dispute/": {"Support", "Finance"},
    "/admin/payments/webhookevent/": {"Support", "Finance"},
    "/admin/accounts/apitoken/": set(),
    "/admin/accounts/apitoken/add/": set(),
    "/admin/events_out/endpoint/": {"Support"},
    "/admin/events_out/endpoint/add/": set(),
    "/admin/events_out/delivery/": {"Support"},
    "/admin/payments/transfer/": {"Support", "Finance"},
    "/admin/payments/transfer/record/": {"Finance"},
    "/admin/payments/transferrefund/": {"Support", "Finance"},
    "/admin/catalog/category/": {"Support", "Stock"},
    "/admin/catalog/category/add/": {"Stock"},
    "/admin/catalog/product/": {"Support", "Stock"},
    "/admin/catalog/product/add/": {"Stock"},
    "/admin/catalog/stock/": {"Support", "Stock"},
    "/admin/catalog/stock/move/": {"Stock"},
    "/admin/catalog/stockmovement/": {"Support", "Stock"},
    "/admin/privacy/erasure/": set(),
    "/admin/privacy/erasure/add/": set(),
    "/admin/orders/archivedorder/": set(),
    "/admin/accounts/user/": set(),
    "/admin/auth/group/": set(),
}


@pytest.fixture(autouse=True)
def _roles(db: None) -> None:
    """As the migration made them: tests that empty every table may have run before."""
    import_module("backoffice.migrations.0001_roles").make_roles(apps, connection.schema_editor())
    for name in (
        "0002_webhook_roles",
        "0003_transfer_roles",
        "0004_difference_roles",
        "0006_event_roles",
        "0007_category_roles",
    ):
        import_module(f"backoffice.migrations.{name}").extend_roles(apps, connection.schema_editor())
    import_module("backoffice.migrations.0005_refund_roles").let_roles_refund(apps, connection.schema_editor())


def make_member(role: str) -> Client:
    staff = User.objects.create_user("staff@example.com", is_staff=True)
    staff.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(staff)
    return client


@pytest.mark.parametrize("role", ["Support", "Stock", "Finance"])
def test_a_role_opens_its_pages_and_no_others(role: str) -> None:
    member = make_member(role)

    opened = {page for page in PAGES if member.get(page).status_code == 200}

    assert opened == {page for page, roles in PAGES.items() if role in roles}


@pytest.mark.parametrize("role", ["Support", "Stock", "Finance"])
@pytest.mark.parametrize("action", ["cancel_orders", "process_orders", "mark_orders_reviewed", "note_orders"])
def test_only_support_acts_on_orders(role: str, action: str) -> None:
    order, member = make_order(), make_member(role)
    Order.objects.update(needs_review=True)
    asked = {"action": action, "_selected_action": str(order.pk), "confirmed": "yes", "note": "She phoned."}
    before = everything()

    member.post("/admin/orders/order/", asked)

    assert (everything() == before) == (role != "Support")
    assert order.events.filter(data__note="She phoned.").exists() == (role == "Support")


@pytest.mark.parametrize("role", ["Support", "Stock", "Finance"])
def test_support_and_finance_refund_orders_and_stock_does_not(role: str) -> None:
    order, member = make_order(), make_member(role)
    answer_payment(order, Payment.Status.SUCCEEDED)
    finalize_order(code=order.code)
    before = everything()

    member.post(f"/admin/orders/order/{order.pk}/refund/", {"number": "1", "amount": "1", "note": "Scratched."})

    assert (everything() == before) == (role == "Stock")
    assert Refund.objects.filter(amount=100).exists() == (role != "Stock")


@pytest.mark.parametrize("role", ["Support", "Finance"])
def test_only_finance_exports_orders(role: str) -> None:
    order, member = make_order(), make_member(role)
    answer_payment(order, Payment.Status.SUCCEEDED)

    answer = member.post("/admin/orders/order/", {"action": "export_orders", "_selected_action": str(order.pk)})

    assert (answer.headers["Content-Type"] == "text/csv; charset=utf-8") == (role == "Finance")


@pytest.mark.parametrize("role", ["Support", "Stock", "Finance"])
def test_only_finance_resolves_differences(role: str) -> None:
    difference = Difference.objects.create(
        kind="missing_here", gateway="stripe", provider_id="pi_1", amount_there=700, occurred_at=timezone.now()
    )
    member = make_member(role)

    answer = member.post(f"/admin/audit/difference/{difference.pk}/remedy/review/", {"note": "It is the till's money."})

    assert (answer.status_code == 302) == (role == "Finance")
    assert Difference.objects.unresolved().exists() == (role != "Finance")


def test_staff_of_the_stock_role_receive_deliveries(admin_user: User) -> None:
    make_order()
    page = f"/admin/catalog/stock/{Product.objects.get().pk}/receive/"
    token = "6f2c1c0e-9a43-4c35-8d5f-2b1f6a2f4d11"

    make_member("Stock").post(page, {"quantity": "5", "token": token})

    assert stock_of("MUG") == (15, 1)


def test_making_the_roles_again_adds_nothing() -> None:
    before = list(Permission.objects.order_by("pk").values())

    with connection.schema_editor() as editor:
        import_module("backoffice.migrations.0001_roles").make_roles(apps, editor)

    assert list(Permission.objects.order_by("pk").values()) == before
    assert Group.objects.count() == 3
