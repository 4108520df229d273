import csv
import tracemalloc
from collections.abc import Iterator
from io import StringIO

import pytest
from django.http import StreamingHttpResponse
from django.test import Client

from backoffice.export import export_orders, format_amount, quote_cell
from orders.models import Order
from orders.services import finalize_order
from payments.models import Payment
from tests.backoffice.staff import log_in_staff
from tests.builders import answer_payment, make_order, make_product

pytestmark = pytest.mark.django_db
LIST = "/admin/orders/order/"


def read_export(client: Client, *orders: Order, **asked: str) -> list[dict[str, str]]:
    chosen = {"action": "export_orders", "_selected_action": [order.pk for order in orders], **asked}
    answer = client.post(f"{LIST}?{asked.pop('filter', '')}", chosen)
    assert isinstance(answer, StreamingHttpResponse)
    return list(csv.DictReader(StringIO(answer.getvalue().decode("utf-8-sig"))))


def open_in_spreadsheet(content: bytes, delimiter: str, *, quotes: bool) -> list[str]:
    """The cells as a spreadsheet has them whose delimiter that is, and that may not know our quotes."""
    text = StringIO(content.decode("utf-8-sig"), newline="")
    reader = csv.reader(text, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE)
    return [cell for row in reader for cell in row]


def is_formula(cell: str) -> bool:
    """Whether some spreadsheet runs it: past quotes, spaces and marks without a width."""
    start = cell.lstrip('" \u00a0\u3000\u200b\ufeff')
    return start.startswith(("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20"))


def test_an_export_has_each_selected_order_with_its_payment(admin_client: Client) -> None:
    make_product("MUG", price=123_456)
    order, _other = make_order(), make_order()
    answer_payment(order, Payment.Status.SUCCEEDED)
    finalize_order(code=order.code)

    [row] = read_export(admin_client, order)

    assert row.pop("created_at")[:10] == f"{order.created_at:%Y-%m-%d}"
    assert row.pop("finalized_at").endswith("+00:00")
    assert row == {
        "code": order.code,
        "status": "CONFIRMED",
        "cancel_reason": "",
        "email": "ann@example.com",
        "currency": "GBP",
        "total": "1234.56",
        "disputed": "0.00",
        "payment": "SUCCEEDED",
        "provider_id": f"pi_{order.code}",
        "refunded": "0.00",
        "metadata": "",
    }


def test_an_export_of_all_has_every_order_of_the_filter(admin_client: Client) -> None:
    orders = [make_order() for _ in range(3)]
    answer_payment(orders[0], Payment.Status.DECLINED)
    finalize_order(code=orders[0].code)

    rows = read_export(admin_client, orders[1], select_across="1", filter="status__exact=PENDING")

    assert [row["code"] for row in rows] == [order.code for order in orders[1:]]


def test_an_export_needs_its_own_permission() -> None:
    order = make_order()
    client = log_in_staff("view_order", "change_order")

    answer = client.post(LIST, {"action": "export_orders", "_selected_action": str(order.pk)}, follow=True)

    assert "Export selected orders" not in client.get(LIST).text
    assert not isinstance(answer, StreamingHttpResponse)
    assert order.code in answer.text


FORMULAS = [
    "=1+1",
    ";=HYPERLINK(A1);",
    '";=HYPERLINK(A1);"@example.com',
    '",=1,"@example.com',
    '"\t=1"@example.com',
    '";"=1"',
    '";""=1""',
    ' "=1"',
    "x; =1",
    "x;\u00a0=1",
    "x;\u200b@SUM(A1)",
    "x;\uff1d1",
    "\uff20SUM(A1)",
    "x\n-1",
    "x\r\n+1",
    "\t=1",
    "x;;;=1;+1",
    "x|=1",
]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("quotes", [True, False])
@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula_whatever_the_delimiter_is_taken_for(text: str, delimiter: str, quotes: bool) -> None:
    out = StringIO(newline="")
    csv.writer(out).writerow(["a", quote_cell(text), "b"])

    cells = open_in_spreadsheet(out.getvalue().encode(), delimiter, quotes=quotes)

    assert [cell for cell in cells if is_formula(cell)] == []


@pytest.mark.parametrize("text", ["ann+tag@example.com", "x-y@example.com", "a=b@example.com", '"a b"@example.com', ""])
def test_a_cell_that_is_no_formula_stays_as_it_is(text: str) -> None:
    assert quote_cell(text) == text


def test_a_guests_email_is_no_formula_in_the_export_for_any_delimiter(admin_client: Client) -> None:
    order = make_order(email='";=hyperlink(a1);"@example.com')
    answer = admin_client.post(LIST, {"action": "export_orders", "_selected_action": [order.pk]})
    assert isinstance(answer, StreamingHttpResponse)
    content = answer.getvalue()

    for delimiter in (",", ";", "\t"):
        for quotes in (True, False):
            assert not any(map(is_formula, open_in_spreadsheet(content, delimiter, quotes=quotes)))


def test_an_export_says_that_it_is_utf_8_so_that_excel_shows_umlauts(admin_client: Client) -> None:
    order = make_order()
    answer = admin_client.post(LIST, {"action": "export_orders", "_selected_action": [order.pk]})
    assert isinstance(answer, StreamingHttpResponse)

    content = answer.getvalue()

    assert content.startswith("\ufeffcode,".encode())


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_a_cell_that_a_spreadsheet_would_run_is_quoted(start: str) -> None:
    assert quote_cell(f"{start}1+1") == f"'{start}1+1"
    assert quote_cell(f"1{start}") == f"1{start}"


def test_an_email_is_never_a_formula(admin_client: Client) -> None:
    order = make_order(email="=cmd|calc@example.com")

    assert read_export(admin_client, order)[0]["email"] == "'=cmd|calc@example.com"


def test_an_amount_has_as_many_decimals_as_its_currency() -> None:
    assert [format_amount(1005, currency) for currency in ("GBP", "KRW", "KWD")] == ["10.05", "1005", "1.005"]


def measure_export(answer: StreamingHttpResponse) -> tuple[int, int]:
    """(lines, the most bytes of memory held at once)"""
    chunks: Iterator[bytes] = iter(answer)
    tracemalloc.start()
    try:
        lines = sum(chunk.count(b"\n") for chunk in chunks)
        return lines, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_an_export_of_many_orders_takes_no_more_memory_than_one_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backoffice.export.BATCH", 200)
    make_many_orders(500)
    few_lines, few_bytes = measure_export(export_orders(Order.objects.all()))
    make_many_orders(4_500)
    many_lines, many_bytes = measure_export(export_orders(Order.objects.all()))

    assert (few_lines, many_lines) == (501, 5_001)
    assert many_bytes < 2 * few_bytes


def make_many_orders(count: int) -> None:
    first = Order.objects.count()
    payments = Payment.objects.bulk_create(
        (
            Payment(reference=f"P{first + number}", amount=500, currency="GBP", payment_method="pm_card_visa")
            for number in range(count)
        ),
        batch_size=1000,
    )
    Order.objects.bulk_create(
        (
            Order(
                checkout_key=payment.reference,
                email="ann@example.com",
                currency="GBP",
                total=500,
                payment=payment,
                expires_at="2026-01-01T00:00:00Z",
                sweep_after="2026-01-01T00:00:00Z",
            )
            for payment in payments
        ),
        batch_size=1000,
    )
