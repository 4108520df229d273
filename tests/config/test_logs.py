"""The log: one line for each thing that happened, with its fields, and without what nobody may read there."""

import json
import logging
from collections.abc import Iterator
from ipaddress import ip_network
from multiprocessing import get_context
from typing import Any

import pytest
import structlog
from celery.signals import before_task_publish
from django.conf import LazySettings
from django.conf import settings as shop
from django.core.handlers.wsgi import WSGIRequest
from django.db import IntegrityError
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.utils.translation import gettext_lazy
from structlog.contextvars import bound_contextvars, clear_contextvars

from config.logs import Formatter
from config.proxies import find_client
from config.redaction import redact
from config.request_ids import RequestIds
from orders.models import Order
from orders.tasks import finalize_order
from payments.stripe import StripeGateway
from payments.tasks import charge_payment
from tests.builders import make_order, make_product
from tests.shop.customer import fill_cart, open_checkout
from tests.webhooks import PATH, make_event, sign

EMAIL, KEY, TOKEN = "ann.droid@example.com", "key-of-ann-0123456789", "orderly_" + "a1B2" * 8
CARD, SECRET_KEY, SECRET = "4242 4242 4242 4242", "sk_live_51HxAbcdef0123456789", "whsec_of-the-test-0123456789"
ODD = "one\r\ntwo\u2028three\x1b[2Jfour"


@pytest.fixture(autouse=True)
def _nobodys_request() -> Iterator[None]:
    clear_contextvars()
    yield
    clear_contextvars()


def write(form: str, words: str, *arguments: object, error: BaseException | None = None, **fields: Any) -> str:
    """The line that the log has of it."""
    exc_info = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("shop.views", logging.WARNING, __file__, 1, words, arguments, exc_info)
    record.fields = fields
    return Formatter(form).format(record)


def test_a_line_of_json_has_its_fields_and_those_of_its_request() -> None:
    with bound_contextvars(request_id="r1", order="of the request"):
        line = json.loads(write("json", "order placed", order="A", total=500, paid=None))

    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "WARNING",
        "logger": "shop.views",
        "event": "order placed",
        "order": "A",  # its own is the nearer one
        "total": 500,
        "paid": None,
        "request_id": "r1",
    }


def test_a_line_for_people_has_words_first_and_then_fields() -> None:
    line = write("line", "left to the %s", "sweep", order="A", reason='it said "no"')

    assert line.partition(" ")[2] == r'WARNING shop.views left to the sweep order=A reason="it said \"no\""'


def test_what_a_line_says_of_its_request_is_always_in_one_order() -> None:
    with bound_contextvars(task_id="t1", request_id="r1", task="charge_payment", order="A"):
        line = write("line", "asked")

    assert line.endswith("asked order=A request_id=r1 task=charge_payment task_id=t1")


@pytest.mark.parametrize("form", ["json", "line"])
def test_nothing_that_is_logged_begins_a_second_line(form: str) -> None:
    line = write(form, "not found: %s", ODD, sku=ODD)

    assert len(line.splitlines()) == 1
    assert "\x1b" not in line


def test_what_an_error_says_begins_no_line_at_the_margin() -> None:
    lines = write("line", "it broke", error=ValueError("no\n2026-01-01 INFO shop all is well")).splitlines()

    assert [line for line in lines[1:] if not line.startswith("    ")] == []
    assert len(write("json", "it broke", error=ValueError(ODD)).splitlines()) == 1


@pytest.mark.parametrize(
    ("said", "hidden"),
    [
        (f"mail to {EMAIL} failed", "mail to [email] failed"),
        ("/?q=ann%2Bdroid%40example.com&r=ann&co@example.com", "/?q=[email]&r=[email]"),
        (f"Key (email)=({EMAIL}) already exists.", "Key (email)=[value]"),
        (f"Key (checkout_key)=({KEY}) already exists.\nnext", "Key (checkout_key)=[value]\nnext"),
        (f"DETAIL:  Failing row contains (1, A, {KEY}, {EMAIL}).", "DETAIL:  Failing row contains [row]"),
        (f"card {CARD}", "card [card]"),
        ("card 4242424242424242, 378282246310005", "card [card], [card]"),
        (f"Invalid API Key: {SECRET_KEY}", "Invalid API Key: [key]"),
        ("pi_1_secret_abcDEF and whsec_0123456789abcdef", "pi_1_secret_[key] and [key]"),
        (f"Authorization: Bearer {TOKEN}", "Authorization: Bearer [key]"),
        ("Authorization: Bearer a.b-c", "Authorization: Bearer [token]"),
        (f"token {TOKEN}", "token [key]"),
        ("with pm_card_visa", "with [token]"),
        ("redis://:hush@cache:6379/0 is away", "redis://[password]cache:6379/0 is away"),
        ("Not Found: /account/password/MQ/abc-def/", "Not Found: /account/[link]"),
    ],
)
def test_what_nobody_may_read_is_hidden(said: str, hidden: str) -> None:
    assert redact(said) == hidden


@pytest.mark.parametrize(
    "said",
    ["261129-7K3QM-9XZ2F", "charge-261129-12345-67890-2", "pi_3Nx, re_1A", "2026-11-29T14:00:00", "12 of 500"],
)
def test_what_operators_look_for_stays(said: str) -> None:
    assert redact({"a": [said]}) == {"a": [said]}


@pytest.mark.parametrize("form", ["json", "line"])
@pytest.mark.parametrize(
    "field",
    [ValueError(EMAIL), {EMAIL: 1}, {(EMAIL, 1): 2}, {EMAIL}, EMAIL.encode(), 4242424242424242, gettext_lazy(EMAIL)],
    ids=["error", "key", "key of two", "set", "bytes", "number", "lazy"],
)
def test_a_field_of_any_kind_is_redacted(form: str, field: Any) -> None:
    line = write(form, "words", field=field)

    assert EMAIL not in line
    assert "4242424242424242" not in line


class Odd:
    def __str__(self) -> str:
        raise ValueError(SECRET_KEY)


def make_endless() -> dict[str, Any]:
    endless: dict[str, Any] = {}
    endless["more"] = endless
    return endless


@pytest.mark.parametrize("form", ["json", "line"])
@pytest.mark.parametrize(
    ("arguments", "fields"),
    [([EMAIL], {}), ([], {"field": Odd()}), ([], {"field": make_endless()})],
    ids=["too few arguments", "no text", "endless"],
)
def test_a_line_that_can_not_be_written_says_so_and_nothing_else(
    form: str, arguments: list[str], fields: dict[str, Any]
) -> None:
    line = write(form, "%s of %s" if arguments else "words", *arguments, **fields)

    assert "a line could not be written" in line
    assert (__file__ in line, EMAIL in line, SECRET_KEY in line) == (True, False, False)


@pytest.mark.parametrize("text", ["a" * 300_000 + " @", "%40" + "a." * 150_000, "4 " * 150_000, "://" + ":" * 300_000])
def test_a_long_text_is_read_once(text: str) -> None:
    """A pattern that begins anew at each character takes ten minutes for these, and keeps its process from all else."""
    reading = get_context("fork").Process(target=redact, args=[text])
    reading.start()
    reading.join(timeout=30)
    reading.kill()
    reading.join()

    assert reading.exitcode == 0


def test_the_shops_own_secrets_are_hidden_wherever_they_stand() -> None:
    assert redact(f"signed with {shop.SECRET_KEY}!") == "signed with [secret]!"


# --- requests and tasks


def ask(**headers: str) -> tuple[HttpResponse, WSGIRequest, dict[str, Any]]:
    """The answer to a request, the request as views see it, and what its lines have."""
    seen: list[WSGIRequest] = []
    bound: dict[str, Any] = {}

    def answer(request: WSGIRequest) -> HttpResponse:
        seen.append(request)
        bound.update(structlog.contextvars.get_contextvars())
        return HttpResponse()

    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR="10.0.0.1")
    response = find_client(RequestIds(answer))(request)  # type: ignore[arg-type]  # a view of any request
    return response, seen[0], bound


@pytest.fixture
def trusted(settings: LazySettings) -> None:
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.0/8")]


@pytest.mark.usefixtures("trusted")
def test_a_proxys_request_id_is_taken_and_sent_back() -> None:
    response, request, bound = ask(X_Request_ID="0af7-EDGE.1")

    assert response.headers["X-Request-ID"] == request.META["HTTP_X_REQUEST_ID"] == bound["request_id"] == "0af7-EDGE.1"


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("sent", ["", "a b", "a\nb", 'a"b', "é", "x" * 65])
def test_a_request_id_that_is_not_well_formed_is_made_anew(sent: str) -> None:
    response, _, bound = ask(X_Request_ID=sent)

    assert len(response.headers["X-Request-ID"]) == 32
    assert response.headers["X-Request-ID"] == bound["request_id"] != sent


def test_nobody_but_a_proxy_chooses_the_request_id() -> None:
    response, _, _ = ask(X_Request_ID="mine")

    assert response.headers["X-Request-ID"] != "mine"


def test_one_requests_lines_say_nothing_of_the_last(client: Client) -> None:
    with bound_contextvars(order="an earlier one"):
        client.get("/healthz")

        assert structlog.contextvars.get_contextvars() == {}


@pytest.mark.django_db(transaction=True)
def test_a_message_has_the_requests_id_in_a_header_and_nothing_else_of_it(client: Client) -> None:
    sent: list[tuple[dict[str, Any], Any]] = []

    def keep(headers: dict[str, Any], body: Any, **_: Any) -> None:
        sent.append((headers, body))

    before_task_publish.connect(keep)
    try:
        fill_cart(client, MUG=1)
        response = client.post("/checkout/", open_checkout(client))
    finally:
        before_task_publish.disconnect(keep)

    order = Order.objects.get()
    [(headers, body)] = sent
    assert headers["__django_structlog__"] == {"request_id": response.headers["X-Request-ID"]}
    assert list(body[0]) == [order.code]


@pytest.mark.django_db(transaction=True)
def test_a_tasks_lines_name_it_and_its_order_also_if_its_message_has_no_header(
    caplog: pytest.LogCaptureFixture, gateway: StripeGateway
) -> None:
    order = make_order()
    caplog.clear()

    charge_payment.apply((order.code,))
    finalize_order.apply((order.code,))

    lines = [line for line in caplog.text.splitlines() if order.code in line]
    assert [line.split(" ", 3)[3].partition("=")[0].rpartition(" ")[0] for line in lines] == [
        "the provider was asked",
        "order confirmed",
    ]
    assert ["task=payments.tasks.charge_payment" in line.split() for line in lines] == [True, False]
    assert [f" order={order.code}" in line for line in lines] == [True, True]
    assert structlog.contextvars.get_contextvars() == {}


# --- what is never logged


@pytest.mark.django_db(transaction=True)
def test_no_line_has_what_nobody_may_read(
    caplog: pytest.LogCaptureFixture, gateway: StripeGateway, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    settings.STRIPE_WEBHOOK_SECRETS = [SECRET]
    make_product("MUG", stock=50)
    client = Client(raise_request_exception=False)
    buy(client, "pm_card_visa")
    buy(client, "pm_card_visa_chargeDeclined")
    body = {"email": EMAIL, "lines": [{"sku": ODD, "quantity": 1}], "payment_method": "pm_card_visa"}
    for sent in (body, {**body, "lines": [{"sku": "MUG", "quantity": 1}]}, {"email": EMAIL, "card": CARD}):
        headers = {"Idempotency-Key": KEY, "Authorization": f"Bearer {TOKEN}", "X-Request-ID": ODD[:3]}
        client.post("/api/v1/orders", sent, "application/json", headers=headers)
        client.post("/api/v1/orders", sent, "application/json", headers={"Idempotency-Key": KEY})
    client.post("/account/sign-up/", {"email": EMAIL})
    client.post("/account/log-in/", {"username": EMAIL, "password": "hush-hush-hush"})
    client.get(f"/account/verify/{TOKEN}/")
    hint = make_event(Order.objects.earliest("pk").code)
    for signature in (sign(hint, SECRET), "t=1,v1=0"):
        client.post(PATH, hint, "application/json", headers={"Stripe-Signature": signature})
    crash(client, monkeypatch)

    assert "Internal Server Error" in caplog.text
    for hidden in (EMAIL, KEY, TOKEN, CARD, SECRET_KEY, "pm_card", SECRET, "hush-hush-hush", shop.SECRET_KEY):
        assert [line for line in caplog.text.splitlines() if hidden in line] == []


def buy(client: Client, method: str) -> None:
    fill_cart(client, MUG=1)
    client.post("/checkout/", {**open_checkout(client), "email": EMAIL, "payment_method": method})
    order = Order.objects.latest("pk")
    charge_payment.apply((order.code,))
    finalize_order.apply((order.code,))


def crash(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug whose words have everything in them."""
    words = f"Key (checkout_key)=({KEY}) exists\n{EMAIL} {CARD} {SECRET_KEY} {TOKEN} {shop.SECRET_KEY}"

    def fail(*_: Any, **__: Any) -> None:
        raise IntegrityError(words)

    with monkeypatch.context() as patched:
        patched.setattr("shop.cart_views.remove_ordered", fail)
        assert client.get("/cart/").status_code == 500
