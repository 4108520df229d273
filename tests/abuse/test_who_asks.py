"""Nobody is taken for somebody else, is led elsewhere, or sees what is another's."""

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone

from accounts.models import ApiToken, User
from accounts.services import make_verification_token
from accounts.tokens import create_token, revoke_token
from orders.models import Order
from tests.abuse.addresses import ADMIN, ALL, API, PAGES, Address
from tests.abuse.hostile import ELSEWHERE
from tests.abuse.world import World, make_world
from tests.builders import make_order
from tests.rows import everything_written

pytestmark = pytest.mark.django_db
FORM = "application/x-www-form-urlencoded"
LOG_IN = {"username": "ann@example.com", "password": "secret"}
SCOPED = {
    "/api/v1/orders": "orders",
    "/api/v1/events": "events",
    "/api/v1/stock/MUG": "stock",
    "/api/v1/stock/MUG/adjustments": "stock",
    "/api/v1/orders/{code}/refunds": "refunds",
    "/api/orders/{code}/refunds": "refunds",
    "/api/orders": "orders",
}


@pytest.fixture
def world() -> World:
    return make_world()


def make_bad_tokens() -> dict[str, str]:
    """What somebody might send in place of a token."""
    revoked, gone = create_token(name="Revoked", scopes=ApiToken.Scope.values)
    revoke_token(revoked)
    expired, late = create_token(name="Expired", scopes=ApiToken.Scope.values, days=1)
    ApiToken.objects.filter(pk=expired.pk).update(expires_at=timezone.now())
    digest = ApiToken.objects.exclude(digest="").values_list("digest", flat=True)[0]
    forged = [
        "",
        "orderly_",
        "orderly_" + "A" * 43,
        digest,
        "\0",
        "caf\xe9",
        "x" * 10_000,
        f"{gone} {gone}",
        "' OR 1=1",
    ]
    named = {"revoked": f"Bearer {gone}", "expired": f"Bearer {late}", "basic": f"Basic {late}", "bare": gone}
    return named | {text[:12]: f"Bearer {text}" for text in forged}


def test_no_call_takes_a_token_that_is_forged_revoked_or_expired(world: World, settings: LazySettings) -> None:
    settings.METRICS_TOKEN = "only-prometheus-knows"
    tokens, client = make_bad_tokens(), world.log_in(None)
    before = everything_written()
    for name, token in tokens.items():
        for address in API:
            if not address.methods or "json" in address.path or "docs" in address.path:
                continue
            method = "POST" if address.changes else "GET"
            body = json.dumps(address.fields)
            answer = world.send(client, address, method, body, headers={"Authorization": token})
            assert (answer.status_code, answer.json()["error"]) == (401, "bad_token"), (name, address)
            assert answer["WWW-Authenticate"] == "Bearer"
        assert client.get("/metrics", headers={"Authorization": token}).status_code == 403
    assert everything_written() == before


@pytest.mark.parametrize("address", [address for address in API if address.path in SCOPED], ids=str)
def test_a_token_of_another_scope_does_nothing_and_learns_nothing(world: World, address: Address) -> None:
    others = sorted({*ApiToken.Scope.values} - {SCOPED[address.path]})
    _row, token = create_token(name="Other", scopes=others)
    if address.path.endswith("orders"):
        method, body = "GET", ""  # anybody may place an order
    else:
        method, body = ("POST" if address.changes else "GET"), json.dumps({**address.fields, "reason": "x"})
    before, client = everything_written(), world.log_in(None)

    headers = world.identify(address) | {"Authorization": f"Bearer {token}"}
    there = world.find(address)
    nowhere = there.replace("MUG", "GHOST").replace(world.order.code, "261124-GH0ST-GH0ST")

    answers = [client.generic(method, path, body, "application/json", headers=headers) for path in (there, nowhere)]

    assert {answer.status_code for answer in answers} <= {400, 403}
    assert answers[0].content == answers[1].content  # also of what is not there
    assert everything_written() == before


def test_no_page_takes_a_form_without_its_csrf_token(world: World) -> None:
    browser, before = world.log_in(world.staff, enforce_csrf_checks=True), everything_written()
    for address in ADMIN:
        answer = world.send(browser, address, "POST", "post=yes", content_type=FORM)
        assert answer.status_code == 403, address
    for address in PAGES:
        for headers in ({}, {"X-CSRFToken": "x" * 64}, {"Referer": "https://evil.example/", "Origin": "null"}):
            answer = world.send(browser, address, "POST", "confirmed=yes&post=yes", content_type=FORM, headers=headers)
            assert answer.status_code in {403, 405}, (address, answer.status_code)
    assert everything_written() == before


def test_only_what_is_signed_or_has_a_token_needs_no_csrf_token(world: World) -> None:
    browser = Client(enforce_csrf_checks=True, raise_request_exception=False)
    sent = [(address, world.send(browser, address, "POST", "", headers={"Authorization": ""})) for address in ALL]
    free = {address.path for address, answer in sent if answer.status_code != 403}

    # Anybody may ask a probe; a webhook is signed; and to the API a session without the token is a guest's.
    assert free - {address.path for address in API} <= {"/payments/webhooks/stripe/", "/healthz", "/readyz"}


@pytest.mark.parametrize("page", ["/account/log-in/", "/admin/login/"])
def test_a_session_that_somebody_planted_is_not_the_one_that_logs_in(world: World, page: str) -> None:
    planted = Client()
    planted.post("/cart/add/", {"sku": "MUG", "quantity": 1})
    key = planted.cookies["sessionid"].value
    victim = Client()
    form = {"username": "staff@example.com", "password": "secret", "next": "/admin/"}
    for sent in (key, "a" * 32):
        victim.cookies["sessionid"] = sent
        assert victim.post(page, form).status_code == 302
        assert victim.cookies["sessionid"].value != sent
        assert not planted.get("/orders/").wsgi_request.user.is_authenticated
        victim.post("/account/log-out/")


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_nobody_is_led_elsewhere(world: World, elsewhere: str) -> None:
    ann, form = world.log_in(world.staff), {"next": elsewhere}
    answers = [
        Client().post("/account/log-in/", LOG_IN | form),
        Client().post("/admin/login/", {"username": "staff@example.com", "password": "secret"} | form),
        ann.get("/account/log-in/", form),
        ann.get("/admin/login/", form),
        Client().post("/i18n/setlang/", {"language": "ko"} | form),
        Client().post("/i18n/setlang/", {"language": "ko"}, headers={"Referer": elsewhere.replace("\r\n", "")}),
        ann.get("/account/log-out/", form),
        ann.post("/account/log-out/", form),
    ]
    for answer in answers:
        place = urlsplit(answer.get("Location", "/"))
        assert (place.scheme, place.netloc) == ("", ""), answer["Location"]
        assert place.path.startswith("/")
        assert not place.path.startswith(("//", "/\\"))
        assert "evil" not in answer.cookies


HOSTS = ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "a\0b", "", "["]


@pytest.mark.parametrize("host", HOSTS)
def test_another_host_is_no_address_of_the_shop(world: World, host: str) -> None:
    client = world.log_in(None)
    for address in PAGES[:6]:
        assert world.send(client, address, HTTP_HOST=host).status_code == 400
    answer = client.get("/account/log-in/", headers={"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"})
    assert answer.status_code == 200
    assert b"evil.example" not in answer.content
    assert not answer.wsgi_request.is_secure()


def guess(code: str) -> list[str]:
    """Codes near one that there is."""
    day, middle, last = code.split("-")
    changed = "0" if last[-1] != "0" else "1"
    near = [f"{day}-{middle}-{last[:-1]}{changed}", f"{day}-{middle}-{last[::-1]}X"[:18], f"{day}-00000-00000"]
    return [each for each in near if each != code]


def test_a_guessed_code_is_not_found_as_if_nothing_were_there(world: World) -> None:
    eve, before = world.log_in(world.eve), everything_written()
    addresses = [address for address in [*PAGES, *API] if "{code}" in address.path]
    assert len(addresses) > 15
    for code in [*guess(world.order.code), world.order.code.lower()]:
        for address in addresses:
            method = "POST" if address.changes else "GET"
            path = address.path.format(code=code)
            headers = world.identify(address)
            answer = eve.generic(method, path, json.dumps(address.fields), "application/json", headers=headers)
            assert answer.status_code == 404, (address, code)
    assert everything_written() == before


def test_what_is_another_customers_is_in_no_list_and_no_cart(world: World) -> None:
    theirs = make_order(user=world.ann, email="ann@example.com")
    eve = world.log_in(world.eve)

    assert theirs.code not in eve.get("/orders/").text
    assert eve.get("/api/v1/orders").json()["data"] == []
    # The key of an order of the API could be guessed; the checkout knows it only from the cart that it was made for.
    form = {"checkout_key": theirs.checkout_key, "email": "eve@example.com", "payment_method": "pm_card_visa"}
    answer = eve.post("/checkout/", form)
    assert theirs.code not in answer.get("Location", "") + answer.text
    assert Order.objects.count() == 2


def test_a_link_of_anothers_mail_verifies_nothing(world: World) -> None:
    eve, token = world.log_in(world.eve), make_verification_token(world.ann)
    eve.get(f"/account/verify/{token}/")
    assert not User.objects.exclude(verified_email="").exists()


def test_fields_that_nobody_asked_for_are_not_taken(world: World) -> None:
    """Whatever a client adds: an order's price is the shop's, its customer who is logged in, its status a new one's."""
    extra: dict[str, Any] = {
        "price": 1,
        "total": 1,
        "status": "CONFIRMED",
        "user": world.ann.pk,
        "code": "X",
        "is_staff": True,
    }
    line = {"sku": "MUG", "quantity": 1}
    order = {"email": "eve@example.com", "lines": [line], "payment_method": "pm_card_visa"}
    client, before = world.log_in(None), everything_written()
    for name, value in extra.items():
        for body in ({**order, name: value}, {**order, "lines": [{**line, name: value}]}):
            headers = {"Idempotency-Key": "eve"}
            answer = client.post("/api/v1/orders", json.dumps(body), content_type="application/json", headers=headers)
            assert (answer.status_code, answer.json()["error"]) == (400, "bad_field")
    assert everything_written() == before
    assert Order.objects.count() == 1


def test_a_form_with_more_fields_makes_nobody_more_than_a_customer(world: World) -> None:
    eve = world.log_in(world.eve)
    more = {
        "is_staff": "on",
        "is_superuser": "on",
        "email": "staff@example.com",
        "groups": "1",
        "user_permissions": "1",
    }
    for address in PAGES:
        if address.changes and "log-out" not in address.path:
            eve.post(world.find(address), {**address.fields, **more})
    assert not User.objects.exclude(pk=world.staff.pk).filter(is_staff=True).exists()
    assert User.objects.get(pk=world.eve.pk).email == "eve@example.com"
