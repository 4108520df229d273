"""Where a webhook may go, and what is read of the answer."""

import time
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_network
from socket import create_server

import pytest
from django.conf import LazySettings

from events_out import posting
from events_out.addresses import AddressRefused, check_url, is_allowed
from events_out.checks import check_webhook_networks
from events_out.posting import LARGEST_ANSWER, SHOWN, NoAnswer, Poster
from tests.receiver import Receiver

PUBLIC = ["93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07::1"]
INSIDE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",  # noqa: S104 - this machine, on Linux
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",  # the metadata of most clouds
    "100.100.100.200",  # of another one
    "168.63.129.16",  # and of Azure, which looks public
    "192.0.0.192",  # and of Oracle
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:7f00:1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::1",  # 127.0.0.1 by 6to4
    "::7f00:1",  # and as IPv4 was once written into IPv6
    "::ffff:0:7f00:1",  # and by a translator
    "fec0::1",  # of a site
    "3fff::1",  # of examples
    "5f00::1",  # a segment of a route
]


@pytest.fixture(autouse=True)
def _outside(settings: LazySettings) -> None:
    settings.WEBHOOK_NETWORKS = []


@pytest.fixture
def poster() -> Iterator[Poster]:
    with closing(Poster()) as opened:
        yield opened


def test_public_addresses_are_allowed_and_those_inside_are_not() -> None:
    assert [address for address in PUBLIC if not is_allowed(address)] == []
    assert [address for address in INSIDE if is_allowed(address)] == []
    assert not any(is_allowed(f"::ffff:{address}") for address in INSIDE if ":" not in address)


def test_a_network_of_our_own_is_allowed_where_it_is_named_and_no_other(settings: LazySettings) -> None:
    settings.WEBHOOK_NETWORKS = [ip_network("10.1.2.0/24"), ip_network("fd00:1::/32")]

    assert all(map(is_allowed, ["10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5", *PUBLIC]))
    assert not any(map(is_allowed, ["10.1.3.3", "127.0.0.1", "fd00:2::5", "2002:0a01:0303::1"]))


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https://",
        "https:///hook",
        "https://ann:secret@example.com/",
        "https://example.com/#here",
        "https://example.com:port/",
        "https://127.0.0.1/",
        "https://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://example.com/a b",
        "https://example.com/\r\nHost: inside",
        "https://exämple.com/",
        "nonsense",
        "",
    ],
)
def test_a_url_that_nobody_may_be_told_at_is_refused(settings: LazySettings, url: str) -> None:
    settings.LOCAL = False
    with pytest.raises(AddressRefused):
        check_url(url)


def test_other_urls_are_taken_and_a_local_shop_needs_no_tls(settings: LazySettings) -> None:
    settings.LOCAL = False
    check_url("https://hooks.example.com:8443/orderly?tenant=1")
    check_url("https://93.184.215.14/")
    settings.LOCAL = True
    check_url("http://hooks.example.com/")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "0", "[::ffff:127.0.0.1]"])
def test_nothing_inside_is_connected_to_however_it_is_written(
    receiver: Receiver, settings: LazySettings, host: str, poster: Poster
) -> None:
    settings.WEBHOOK_NETWORKS = []
    with pytest.raises(NoAnswer, match=r"not a public address|is not public"):
        poster.post(f"http://{host}:{receiver.port}/", b"{}", {})

    assert receiver.requests == []


def test_a_name_that_leads_inside_since_it_was_checked_is_refused_when_it_is_connected_to(
    receiver: Receiver, settings: LazySettings, poster: Poster
) -> None:
    """The address that is judged is the one that is connected to: there is no second look-up to be told another."""
    url = f"http://localhost:{receiver.port}/"
    assert poster.post(url, b"{}", {}).status == 204

    settings.WEBHOOK_NETWORKS = []  # as if its name led elsewhere now
    check_url(url)
    with closing(Poster()) as another, pytest.raises(NoAnswer):
        another.post(url, b"{}", {})

    assert len(receiver.requests) == 1


def test_control_without_the_guard_the_machine_itself_is_reached(
    receiver: Receiver, settings: LazySettings, monkeypatch: pytest.MonkeyPatch, poster: Poster
) -> None:
    settings.WEBHOOK_NETWORKS = []
    monkeypatch.setattr(posting, "is_allowed", lambda _: True)

    assert poster.post(f"http://localhost:{receiver.port}/", b"{}", {}).is_success
    assert len(receiver.requests) == 1


def test_nothing_is_sent_without_tls_outside_a_local_shop(
    receiver: Receiver, settings: LazySettings, poster: Poster
) -> None:
    """The row may come from a copy of another shop's database."""
    settings.LOCAL = False
    with pytest.raises(NoAnswer, match="https://"):
        poster.post(receiver.url, b"{}", {})

    assert receiver.requests == []


def test_a_proxy_of_the_environment_is_not_asked(
    receiver: Receiver, settings: LazySettings, monkeypatch: pytest.MonkeyPatch, poster: Poster
) -> None:
    monkeypatch.setenv("http_proxy", receiver.url)
    with pytest.raises(NoAnswer):
        poster.post("http://127.0.0.1:9/", b"{}", {})

    assert receiver.requests == []


def test_a_redirect_is_an_answer_and_is_not_followed(receiver: Receiver, poster: Poster) -> None:
    receiver.status, receiver.headers = 307, {"Location": receiver.url + "/elsewhere"}

    answer = poster.post(receiver.url, b"{}", {})

    assert (answer.status, answer.is_success) == (307, False)
    assert [request.path for request in receiver.requests] == ["/hook"]


def test_little_is_read_of_a_large_answer(receiver: Receiver, poster: Poster) -> None:
    receiver.status, receiver.answer = 200, b"\0\xff" + b"x" * (100 * LARGEST_ANSWER)

    answer = poster.post(receiver.url, b"{}", {})

    assert answer.is_success
    assert len(answer.text) == SHOWN
    assert "\0" not in answer.text


def test_whoever_does_not_answer_is_waited_for_no_longer_than_the_timeout(
    receiver: Receiver, settings: LazySettings, poster: Poster
) -> None:
    settings.WEBHOOK_TIMEOUT = 0.2
    receiver.pause = 1
    started = time.monotonic()
    with pytest.raises(NoAnswer, match="timed out"):
        poster.post(receiver.url, b"{}", {})
    with create_server(("127.0.0.1", 0)) as silent, pytest.raises(NoAnswer, match="timed out"):
        poster.post(f"http://127.0.0.1:{silent.getsockname()[1]}/", b"{}", {})

    assert time.monotonic() - started < 5


def test_the_body_and_the_headers_arrive_as_they_are(receiver: Receiver, poster: Poster) -> None:
    body = '{"name":"Tasse für Käthe ☕"}'.encode()

    poster.post(receiver.url, body, {"Content-Type": "application/json", "webhook-id": "evt_1"})

    assert receiver.requests[0].body == body
    assert receiver.requests[0].headers["content-type"] == "application/json"
    assert receiver.ids == ["evt_1"]


def test_check_names_networks_with_which_webhooks_reach_this_machine(settings: LazySettings) -> None:
    settings.LOCAL = False
    assert check_webhook_networks() == []
    settings.WEBHOOK_NETWORKS = [ip_network("10.1.2.0/24")]
    assert check_webhook_networks() == []
    for wide in ("0.0.0.0/0", "127.0.0.1/32", "169.254.169.254/32", "::/0"):
        settings.WEBHOOK_NETWORKS = [ip_network(wide)]
        assert [found.id for found in check_webhook_networks()] == ["orderly.E032"]
    settings.LOCAL = True
    assert check_webhook_networks() == []
