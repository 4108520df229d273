import json
import lzma
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from pytest_django.live_server_helper import LiveServer

from lab.simulation.invoice_file import Checkout, InvoiceReader, Offer
from lab.simulation.replay import Answer, Report, Shop, wait_until_final
from lab.stack.embedded import free_port
from lab.stack.stack import Stack
from orders.models import Order
from orders.services import finalize_order
from payments.models import Payment
from tests.builders import answer_payment, everything, make_order, make_product, stock_of

REAL = settings.BASE_DIR / "data" / "orders_2011-10-06.jsonl"
NO_COUNTS = dict.fromkeys(("placed", "replayed", "confirmed", "cancelled", "cancellations"), 0)
NO_REFUNDS = {"unmatched": {}, "unreturned": {}, "refunds": 0, "returned_units": 0, "refunded_minor": 0}
NOTHING = {**NO_COUNTS, **NO_REFUNDS, "refused": {}, "skipped": {}}


def line(sku: str, qty: object) -> dict[str, object]:
    return {"sku": sku, "name": f"The {sku}", "qty": qty, "unit_price": "5.00"}


def sale(invoice: str, *lines: object, **fields: object) -> dict[str, object]:
    return {"invoice": invoice, "kind": "sale", "customer": "17850", "lines": list(lines), **fields}


def write_file(path: Path, *invoices: object) -> Path:
    """One invoice a line; a string as it stands."""
    lines = (invoice if isinstance(invoice, str) else json.dumps(invoice) for invoice in invoices)
    content = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(lzma.compress(content) if path.suffix == ".xz" else content)
    return path


def replay(shop: LiveServer, file: Path, **options: object) -> dict[str, Any]:
    """The report, also of a file without an invoice. Nothing works on the orders here, so they are not waited for."""
    out = StringIO()
    try:
        call_command("replay", file, url=shop.url, stdout=out, json=True, **{"timeout": 0, **options})
    except CommandError as error:
        if not any(
            words in str(error) for words in ("are not final", "are not over", "is an invoice", "Nothing was placed.")
        ):
            raise
    report: dict[str, Any] = json.loads(out.getvalue())
    return report


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "invoices.jsonl"


def test_replay_places_each_sale_at_the_catalogues_prices(live_server: LiveServer, file: Path) -> None:
    make_product("MUG", price=255)
    make_product("CUP", price=100)
    write_file(file, sale("1", line("MUG", 2), line("CUP", 3)), sale("2", line("CUP", 1), customer=None))

    report = replay(live_server, file)

    assert report == {**NOTHING, "invoices": 2, "placed": 2, "units": 0, "total_minor": 0}
    orders = Order.objects.order_by("checkout_key").values_list("checkout_key", "email", "total")
    assert list(orders) == [("1", "customer-17850@example.com", 810), ("2", "guest-2@example.com", 100)]
    assert (stock_of("MUG"), stock_of("CUP")) == ((10, 2), (10, 4))
    assert {payment.payment_method for payment in Payment.objects.all()} == {"pm_card_visa"}


def test_replay_merges_the_same_sku(live_server: LiveServer, file: Path) -> None:
    make_product("MUG")
    write_file(file, sale("1", line("MUG", 2), line("MUG", 3)))

    replay(live_server, file)

    assert [item.quantity for item in Order.objects.get().lines.all()] == [5]


def test_replay_twice_places_nothing_twice(live_server: LiveServer, file: Path) -> None:
    make_product("MUG", stock=100)
    write_file(file, *(sale(str(number), line("MUG", 1)) for number in range(20)))
    assert replay(live_server, file, faulty_every=3)["placed"] == 20
    before = everything()

    report = replay(live_server, file, faulty_every=3)

    assert (report["placed"], report["replayed"], report["refused"]) == (0, 20, {})
    assert everything() == before


def test_replay_of_an_invoice_that_stands_twice_counts_its_order_once(live_server: LiveServer, file: Path) -> None:
    make_product("MUG")
    write_file(file, sale("1", line("MUG", 1)), sale("1", line("MUG", 1)))
    assert replay(live_server, file)["placed"] == 1
    pay_all()

    report = replay(live_server, file)

    assert (report["replayed"], report["confirmed"], report["units"], report["total_minor"]) == (2, 1, 1, 500)


@pytest.mark.parametrize(
    ("invoice", "reasons"),
    [
        (sale("1", line("MUG", 1), kind="sale_with_zero_price"), {"sale_with_zero_price": 1}),
        (sale("1", line("TEA", 1)), {"unknown_sku": 1, "no_usable_line": 1}),
        (sale("1", line("mug", 1)), {"unknown_sku": 1, "no_usable_line": 1}),
        (sale("1", line("POST", 1)), {"no_price": 1, "no_usable_line": 1}),
        (sale("1", line("OLD", 1)), {"not_for_sale": 1, "no_usable_line": 1}),
        (sale("1", line("MUG", 0)), {"non_positive_quantity": 1, "no_usable_line": 1}),
        (sale("1", line("MUG", -2)), {"non_positive_quantity": 1, "no_usable_line": 1}),
        (sale("1", line("MUG", "2")), {"malformed_line": 1, "no_usable_line": 1}),
        (sale("1", line("MUG", 10**400)), {"malformed_line": 1, "no_usable_line": 1}),
        (sale("1", line("MUG", True)), {"malformed_line": 1, "no_usable_line": 1}),
        (sale("1", "MUG"), {"malformed_line": 1, "no_usable_line": 1}),
        (sale("1"), {"no_usable_line": 1}),
        ("{", {"malformed": 1}),
        ("[]", {"malformed": 1}),
        ("[" * 100_000, {"malformed": 1}),
        (sale("", line("MUG", 1)), {"malformed": 1}),
        (sale("a\nb", line("MUG", 1)), {"malformed": 1}),
        (sale("1", line("MUG", 1), kind=None), {"malformed": 1}),
        (sale("1", line("MUG", 1), lines=None), {"malformed": 1}),
    ],
)
def test_replay_skips_what_is_no_sale_or_unusable_and_goes_on(
    live_server: LiveServer, file: Path, invoice: object, reasons: dict[str, int]
) -> None:
    make_product("MUG")
    make_product("POST", price=None, active=False)
    make_product("OLD", active=False)
    before = everything()

    report = replay(live_server, write_file(file, invoice))

    assert report == {**NOTHING, "invoices": 1, "skipped": reasons, "units": 0, "total_minor": 0}
    assert everything() == before
    assert replay(live_server, write_file(file, invoice, "", sale("9", line("MUG", 1))))["placed"] == 1


def test_replay_leaves_out_unusable_lines_and_places_the_rest(live_server: LiveServer, file: Path) -> None:
    make_product("MUG", price=500)
    write_file(file, sale("1", line("TEA", 1), line("MUG", 2), line("MUG", -1), line("TEA", 3)))

    report = replay(live_server, file)

    assert report["placed"] == 1
    assert report["skipped"] == {"unknown_sku": 2, "non_positive_quantity": 1}
    assert [(item.sku, item.quantity) for item in Order.objects.get().lines.all()] == [("MUG", 2)]


@pytest.mark.parametrize(
    ("invoice", "reason"),
    [
        (sale("1", line("MUG", 11)), "insufficient_stock"),
        (sale("1", line("MUG", 1), line("BON", 1)), "not_for_sale"),
        (sale("1", line("MUG", 2_000_000)), "bad_field"),
        (sale("1", line("MUG", 1), customer="two words"), "bad_field"),
        (sale("1", line("MUG", 900_000)), "total_too_large"),
        (sale("taken", line("MUG", 1)), "idempotency_key_reused"),
    ],
)
def test_replay_counts_what_the_shop_refuses_and_nothing_of_it_is_placed(
    live_server: LiveServer, file: Path, invoice: object, reason: str
) -> None:
    make_product("MUG", price=2_000_000, stock=10)
    make_product("BON", currency="EUR")
    make_order({"CUP": 1}, key="taken")
    before = everything()

    report = replay(live_server, write_file(file, invoice))

    assert report == {**NOTHING, "invoices": 1, "refused": {reason: 1}, "units": 0, "total_minor": 0}
    assert everything() == before


def test_replay_reads_a_file_that_xz_has_packed(live_server: LiveServer, tmp_path: Path) -> None:
    make_product("MUG")
    file = write_file(tmp_path / "invoices.jsonl.xz", sale("1", line("MUG", 1)))

    assert replay(live_server, file)["placed"] == 1


def test_replay_says_that_a_file_is_cut_off(live_server: LiveServer, tmp_path: Path) -> None:
    file = write_file(tmp_path / "invoices.jsonl.xz", sale("1", line("MUG", 1)))
    file.write_bytes(file.read_bytes()[:-20])

    with pytest.raises(CommandError, match=r"ended before the end-of-stream marker.*\(0 orders placed before\)"):
        replay(live_server, file)


def test_replay_says_that_a_file_is_missing(live_server: LiveServer, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        replay(live_server, tmp_path / "missing.jsonl")


def test_replay_stops_at_its_limit(live_server: LiveServer, file: Path) -> None:
    make_product("MUG")
    write_file(file, sale("1", line("MUG", 1)), {**sale("2"), "kind": "cancel"}, sale("3", line("MUG", 1)))

    report = replay(live_server, file, limit=2)

    assert (report["invoices"], report["placed"], report["cancellations"]) == (2, 1, 1)


def test_replay_places_the_real_day(live_server: LiveServer) -> None:
    call_command(
        "load_catalog", settings.BASE_DIR / "data" / "products.csv", stock=2000, stdout=StringIO(), stderr=StringIO()
    )

    report = replay(live_server, REAL)

    assert (report["invoices"], report["placed"], report["refused"]) == (218, 121, {})
    assert report["skipped"] == {"stock_adjustment": 17, "sale_with_zero_price": 16}
    assert (report["cancellations"], report["unmatched"]) == (64, {"no_sale": 207})
    assert report["unreturned"] == {"not_confirmed": 20}


def test_the_same_file_makes_the_same_checkouts_with_faulty_cards_in_turn() -> None:
    def read() -> list[Checkout]:
        reader = InvoiceReader(catalogue={"MUG": Offer(500, active=True)}, faulty_every=2)
        return list(reader.read_checkouts(json.dumps(sale(str(n), line("MUG", 1))).encode() for n in range(8)))

    assert read() == read()
    assert [checkout.body["payment_method"] for checkout in read()] == [
        "pm_card_visa",
        "pm_card_visa_chargeDeclined",
        "pm_card_visa",
        "pm_sandbox_slow",
        "pm_card_visa",
        "pm_sandbox_drop",
        "pm_card_visa",
        "pm_card_visa_chargeDeclined",
    ]


@contextmanager
def answering(*statuses: int) -> Iterator[tuple[str, list[tuple[str | None, bytes]]]]:
    """A shop that answers with these statuses, 0 being no answer at all; its URL, and what it was asked."""
    remaining, asked = list(statuses), list[tuple[str | None, bytes]]()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.headers["Idempotency-Key"], body))
            if status := remaining.pop(0):
                self.send_response(status)
                self.end_headers()
                self.wfile.write(b'{"code": "261124-7K3QM-9XZ2F"}')

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=[0.01]).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()


@pytest.mark.parametrize("silence", [0, 500, 502, 503, 504])
def test_a_shop_that_does_not_answer_is_asked_again_with_the_same_key_and_body(silence: int) -> None:
    with answering(silence, silence, 201) as (url, asked), Shop(url, connections=1) as shop:
        answer = shop.place(Checkout("569717", {"email": "a@example.com"}))

    assert answer == Answer(code="261124-7K3QM-9XZ2F", is_new=True)
    assert asked == [("569717", b'{"email": "a@example.com"}')] * 3


@pytest.mark.parametrize("status", [301, 404])
def test_an_answer_that_is_not_the_apis_is_a_refusal(status: int) -> None:
    with answering(status) as (url, asked), Shop(url, connections=1) as shop:
        answer = shop.place(Checkout("569717", {}))

    assert answer == Answer(refused=f"http_{status}")
    assert len(asked) == 1


def test_a_shop_that_is_gone_is_given_up_in_the_end() -> None:
    with Shop(f"http://127.0.0.1:{free_port()}", connections=1, unreachable_after=0.2) as shop:
        assert shop.place(Checkout("569717", {})) == Answer(refused="unreachable")


def test_a_sale_that_alone_is_not_answered_is_given_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.simulation.replay.PLACE_WITHIN", 0.2)
    with answering(503, 503, 503) as (url, _), Shop(url, connections=1, unreachable_after=1e9) as shop:
        assert shop.place(Checkout("569717", {})) == Answer(refused="unreachable")


def test_replay_fails_when_every_sale_is_refused(live_server: LiveServer, file: Path) -> None:
    with pytest.raises(CommandError, match="Nothing was placed"):
        call_command("replay", write_file(file, sale("1", line("NONE", 1))), url=live_server.url, stdout=StringIO())


@pytest.mark.django_db
def test_replay_fails_when_a_sale_is_not_answered(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.simulation.replay.PLACE_WITHIN", 0.2)
    make_product("MUG")
    write_file(file, sale("1", line("MUG", 1)))

    with answering(500, 500, 500) as (url, _), pytest.raises(CommandError, match="1 sales were not placed"):
        call_command("replay", file, url=url, stdout=StringIO())


def pay_all() -> None:
    for order in Order.objects.all():
        answer_payment(order, Payment.Status.SUCCEEDED)
        finalize_order(code=order.code)


@pytest.mark.django_db
def test_wait_until_final_counts_how_the_orders_ended() -> None:
    make_product("MUG", price=500, stock=10)
    make_product("CUP", price=10, stock=10)
    confirmed, declined, pending, other = (make_order({"MUG": 2, "CUP": 1}) for _ in range(4))
    for order, status in [(confirmed, "SUCCEEDED"), (declined, "DECLINED"), (other, "SUCCEEDED")]:
        answer_payment(order, Payment.Status(status))
        finalize_order(code=order.code)

    report = Report()
    waiting = wait_until_final({confirmed.code, declined.code, pending.code}, report=report, timeout=0)

    assert waiting == 1
    assert (report.confirmed, report.cancelled, report.units, report.total_minor) == (1, 1, 3, 1010)


def test_replay_fails_when_orders_are_not_final_in_time(live_server: LiveServer, file: Path) -> None:
    make_product("MUG")
    write_file(file, sale("1", line("MUG", 1)))

    with pytest.raises(CommandError, match="1 orders are not final after 0 seconds"):
        call_command("replay", file, url=live_server.url, timeout=0, stdout=StringIO())


def test_replay_reports_in_lines_that_people_can_read(live_server: LiveServer, file: Path) -> None:
    make_product("MUG", price=123_456)
    write_file(file, sale("1", line("MUG", 1)), {**sale("2"), "kind": "void"})
    replay(live_server, file)
    pay_all()
    out = StringIO()

    call_command("replay", file, url=live_server.url, stdout=out)

    rows = dict(row.rsplit(maxsplit=1) for row in out.getvalue().splitlines())
    assert rows["skipped void"] == "1"
    assert (rows["replayed"], rows["confirmed"], rows["total_minor"]) == ("1", "1", "123,456")


@pytest.mark.parametrize(
    "arguments", ["--limit=0", "--concurrency=-1", "--faulty-every=x", "--url=localhost:8000", "--timeout=soon"]
)
def test_replay_refuses_a_wrong_argument(arguments: str) -> None:
    with pytest.raises(CommandError, match="argument"):
        call_command("replay", str(REAL), arguments)


def test_replay_without_a_url_says_how_to_get_one() -> None:
    with pytest.raises(CommandError, match="make run"):
        call_command("replay", str(REAL), url=None)


def test_replay_on_the_whole_shop_ends_every_order(stack: Stack, file: Path) -> None:
    stack.manage("load_catalog", "data/products.csv", "--stock", "2000")
    sales = [invoice for text in REAL.read_text().splitlines() if (invoice := json.loads(text))["kind"] == "sale"][:20]
    write_file(file, *(invoice | {"invoice": f"{invoice['invoice']}-{uuid.uuid4()}"} for invoice in sales))

    done = stack.manage("replay", str(file), "--faulty-every", "5", "--timeout", "60", "--json")

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["placed"], report["confirmed"], report["cancelled"]) == (20, 18, 2)
    again = json.loads(stack.manage("replay", str(file), "--faulty-every", "5", "--json").stdout)
    assert again == report | {"placed": 0, "replayed": 20}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_replay_reads_what_an_editor_saved(live_server: LiveServer, file: Path, encoding: str) -> None:
    make_product("MUG")
    make_product("CAFÉ")
    lines = [json.dumps(sale(key, line(sku, 1)), ensure_ascii=False) for key, sku in [("1", "MUG"), ("2", "CAFÉ")]]
    file.write_bytes("\r\n".join(lines).encode(encoding))

    report = replay(live_server, file)

    assert (report["placed"], report["skipped"]) == (2, {})


@pytest.mark.parametrize("content", [b"", b"\n\n", b"{\n[]\n", b"\xff\xfe", b"code,status\n1,PENDING\n"])
def test_replay_that_could_read_nothing_is_no_success(live_server: LiveServer, file: Path, content: bytes) -> None:
    file.write_bytes(content)

    with pytest.raises(CommandError, match="no line of it is an invoice"):
        call_command("replay", file, url=live_server.url, stdout=StringIO())


def test_replay_of_a_file_that_is_no_text_says_so(live_server: LiveServer, file: Path) -> None:
    file.write_bytes(json.dumps(sale("1", line("MUG", 1))).encode("utf-16-le"))

    with pytest.raises(CommandError, match="neither UTF-8 nor UTF-16"):
        call_command("replay", file, url=live_server.url, stdout=StringIO())


def test_replay_counts_a_line_that_is_no_text_and_goes_on(live_server: LiveServer, file: Path) -> None:
    make_product("MUG")
    good = json.dumps(sale("1", line("MUG", 1))).encode()
    file.write_bytes(good.replace(b"17850", b"\xe9") + b"\n" + good + b"\n")

    report = replay(live_server, file)

    assert (report["placed"], report["skipped"]) == (1, {"malformed": 1})
