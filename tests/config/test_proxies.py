from ipaddress import ip_network
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from config.proxies import find_client
from orders.models import Order
from tests.builders import everything, make_product

CLIENT, SPOOFED, OUTER, INNER = "203.0.113.7", "198.51.100.1", "10.0.0.2", "127.0.0.1"


@pytest.fixture(autouse=True)
def _two_proxies(settings: LazySettings) -> None:
    settings.TRUSTED_PROXIES = [ip_network("127.0.0.1"), ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


def receive(peer: str, forwarded: str | None = None) -> HttpRequest:
    """The request as the shop sees it, sent over HTTPS or said to be."""
    headers = {"X-Forwarded-Proto": "https"} | ({"X-Forwarded-For": forwarded} if forwarded is not None else {})
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR=peer)
    find_client(lambda request: HttpResponse())(request)
    return request


def address_of(peer: str, forwarded: str | None = None) -> str:
    return str(receive(peer, forwarded).META["REMOTE_ADDR"])


def test_the_client_is_who_the_nearest_trusted_proxy_says() -> None:
    assert address_of(INNER, CLIENT) == CLIENT
    assert address_of(INNER, f"{CLIENT}, {OUTER}") == CLIENT
    assert address_of("fd00::1", "2001:db8::7") == "2001:db8::7"


def test_what_the_client_itself_wrote_into_the_header_is_not_believed() -> None:
    assert address_of(INNER, f"{SPOOFED}, {CLIENT}") == CLIENT
    assert address_of(INNER, f"{SPOOFED}, {CLIENT}, {OUTER}") == CLIENT
    assert address_of(INNER, f"{OUTER}, {CLIENT}") == CLIENT


def test_a_header_from_who_is_no_proxy_of_ours_is_not_believed() -> None:
    request = receive(CLIENT, SPOOFED)

    assert request.META["REMOTE_ADDR"] == CLIENT
    assert "X-Forwarded-Proto" not in request.headers


def test_the_scheme_is_believed_from_a_trusted_proxy() -> None:
    assert receive(INNER, CLIENT).headers["X-Forwarded-Proto"] == "https"


@pytest.mark.parametrize("forwarded", [None, "", "unknown", f"{SPOOFED}, unknown"])
def test_a_client_that_no_proxy_names_is_not_known(forwarded: str | None) -> None:
    assert address_of(INNER, forwarded) == ""


def test_what_stands_before_something_unreadable_is_not_read() -> None:
    assert address_of(INNER, f"unknown, {CLIENT}") == CLIENT
    assert address_of(INNER, f"{SPOOFED}, unknown, {OUTER}") == OUTER


def test_a_port_behind_the_address_is_left_out() -> None:
    assert address_of(INNER, f"{CLIENT}:4711") == CLIENT
    assert address_of(INNER, "[2001:db8::7]:4711") == address_of(INNER, "[2001:db8::7]") == "2001:db8::7"


def test_an_ipv4_address_in_ipv6_form_is_the_ipv4_one() -> None:
    assert address_of(f"::ffff:{CLIENT}") == CLIENT
    assert address_of(f"::ffff:{INNER}", f"::ffff:{CLIENT}") == CLIENT


def test_a_socket_file_is_trusted_where_there_are_proxies_at_all(settings: LazySettings) -> None:
    assert address_of("", CLIENT) == CLIENT

    settings.TRUSTED_PROXIES = []

    assert address_of("", CLIENT) == ""


@pytest.fixture
def _one_order_each(settings: LazySettings) -> None:
    settings.CHECKOUT_LIMITS = {"session": 0, "account": 0, "ip": 1}
    settings.REDIS_PREFIX = uuid4().hex  # nobody has ordered anything yet


def order_from(client: Client, peer: str, forwarded: str) -> int:
    """The status of the API's answer."""
    body = {"email": "ann@example.com", "lines": [{"sku": "MUG", "quantity": 1}], "payment_method": "pm_card_visa"}
    headers = {"Idempotency-Key": uuid4().hex, "X-Forwarded-For": forwarded}
    response = client.post("/api/orders", body, content_type="application/json", headers=headers, REMOTE_ADDR=peer)
    return response.status_code


@pytest.mark.django_db
@pytest.mark.usefixtures("_one_order_each")
def test_the_shop_limits_each_client_of_a_proxy_on_its_own(client: Client) -> None:
    make_product("MUG")

    assert [order_from(client, INNER, ip) for ip in (CLIENT, SPOOFED)] == [201, 201]
    before = everything()
    assert [order_from(client, INNER, ip) for ip in (CLIENT, SPOOFED)] == [429, 429]
    assert everything() == before


@pytest.mark.django_db
@pytest.mark.usefixtures("_one_order_each")
def test_the_shop_limits_who_is_no_proxy_whatever_it_writes_into_the_header(client: Client) -> None:
    make_product("MUG")

    assert [order_from(client, "192.0.2.9", ip) for ip in (CLIENT, SPOOFED)] == [201, 429]
    assert Order.objects.count() == 1
