from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.test import Client

from accounts.models import AccountMail, User

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"
IP = "192.0.2.1"
NO_REDIS = "redis://127.0.0.1:9/0"  # nobody listens there


@pytest.fixture(autouse=True)
def _limits(settings: LazySettings) -> None:
    settings.LOG_IN_LIMITS = {"account": 2, "ip": 4}
    settings.MAIL_LIMITS = {"account": 2, "ip": 4}
    settings.REDIS_PREFIX = uuid4().hex  # nobody has tried anything yet


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann@example.com", PASSWORD, is_staff=True)


def log_in(client: Client, password: str = PASSWORD, *, url: str = "/account/log-in/", ip: str = IP) -> Any:
    return client.post(url, {"username": "Ann@example.com", "password": password}, REMOTE_ADDR=ip)


def ask_for_link(client: Client, path: str, email: str, *, ip: str = IP) -> Any:
    return client.post(path, {"email": email}, REMOTE_ADDR=ip)


def make_ip() -> str:
    return f"10.{'.'.join(str(byte) for byte in uuid4().bytes[:3])}"


@pytest.mark.parametrize("url", ["/account/log-in/", "/admin/login/"])
def test_after_so_many_tries_even_the_right_password_has_to_wait(client: Client, ann: User, url: str) -> None:
    log_in(client, "wrong", url=url)
    log_in(client, "wrong", url=url)

    answer = log_in(client, url=url)

    assert answer.status_code == 200
    assert "Too many attempts. Try again in 60 minutes." in answer.content.decode()
    assert "_auth_user_id" not in client.session


def test_nobody_is_locked_out_by_the_tries_of_others(client: Client, ann: User) -> None:
    for _ in range(3):
        log_in(client, "wrong", ip="198.51.100.9")

    assert log_in(client).status_code == 302


def test_the_addresses_of_one_ipv6_network_are_one_visitor(client: Client, ann: User) -> None:
    for number in range(2):
        log_in(client, "wrong", ip=f"2001:db8::{number}")

    assert "Too many" in log_in(client, ip="2001:db8::9").content.decode()
    assert "_auth_user_id" not in client.session
    assert log_in(client, ip="2001:db8:0:1::9").status_code == 302


def test_an_address_has_so_many_tries_for_all_accounts(client: Client, ann: User) -> None:
    for number in range(4):
        client.post("/account/log-in/", {"username": f"{number}@example.com", "password": "x"}, REMOTE_ADDR=IP)

    assert "Too many attempts" in log_in(client).content.decode()


@pytest.mark.parametrize("path", ["/account/sign-up/", "/account/password/"])
@pytest.mark.parametrize("email", ["ann@example.com", "nobody@example.com"])
def test_a_mailbox_is_sent_so_many_links_whether_it_has_an_account_or_not(
    client: Client, ann: User, path: str, email: str
) -> None:
    asked = [ask_for_link(Client(), path, spelled, ip=make_ip()) for spelled in (email, email.title())]
    assert [answer.status_code for answer in asked] == [302, 302]

    refused = ask_for_link(client, path, email, ip=make_ip())

    assert "Too many attempts. Try again in 60 minutes." in refused.text
    assert AccountMail.objects.count() == 2


@pytest.mark.parametrize("path", ["/account/sign-up/", "/account/password/"])
def test_an_address_may_ask_for_so_many_links(client: Client, path: str) -> None:
    for number in range(4):
        ask_for_link(Client(), path, f"{number}@example.com")

    refused = ask_for_link(client, path, "4@example.com")

    assert "Too many attempts" in refused.text
    assert AccountMail.objects.count() == 4


def test_the_link_that_verifies_an_address_is_limited_too(client: Client, ann: User) -> None:
    client.force_login(ann)
    for _ in range(3):
        answer = client.post("/account/verify/", follow=True, REMOTE_ADDR=IP)

    assert "Too many attempts" in answer.text
    assert AccountMail.objects.count() == 2


def test_the_mails_of_one_kind_do_not_use_up_those_of_another(client: Client, ann: User) -> None:
    for _ in range(3):
        ask_for_link(client, "/account/password/", "ann@example.com")
    assert AccountMail.objects.count() == 2

    ask_for_link(client, "/account/sign-up/", "ann@example.com")
    client.force_login(ann)
    client.post("/account/verify/", REMOTE_ADDR=IP)

    assert AccountMail.objects.count() == 4


def test_everybody_can_log_in_without_redis(client: Client, ann: User, settings: LazySettings) -> None:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": NO_REDIS}}
    for _ in range(3):
        log_in(client, "wrong")

    assert log_in(client).status_code == 302
