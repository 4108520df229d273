"""Whose shop it is, and in which zone its times are: on pages and in mails."""

from datetime import UTC, datetime

import pytest
from django.conf import LazySettings
from django.core import mail as outbox
from django.core.mail import EmailMultiAlternatives
from django.test import Client
from django.utils import translation

from languages import write_time
from orders.mails import send_due_mails
from payments.models import Payment
from tests.builders import answer_payment, make_confirmed, make_order, make_product, tamper

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def tea_shop(settings: LazySettings) -> None:
    settings.SHOP_NAME = "Tea & Co"
    settings.SHOP_CONTACT = "help@example.com"
    settings.SHOP_LINKS = [("Terms", "https://example.com/terms")]
    settings.TIME_ZONE = "Asia/Seoul"


@pytest.mark.usefixtures("tea_shop")
@pytest.mark.parametrize("address", ["/", "/cart/", "/nowhere/", "/account/log-in/"])
def test_every_page_names_the_shop_its_contact_and_its_links(client: Client, address: str) -> None:
    page = client.get(address).text

    assert "· Tea &amp; Co</title>" in page
    assert '<a href="mailto:help@example.com">help@example.com</a>' in page
    assert '<a href="https://example.com/terms">Terms</a>' in page
    assert "Orderly" not in page


@pytest.mark.usefixtures("tea_shop")
def test_an_orders_page_says_where_mails_go_and_whom_to_write_to(client: Client) -> None:
    order = make_order(email="ann.lee@example.com")

    page = client.get(f"/orders/{order.code}/").text

    assert "mails about it go to a***@example.com" in page
    assert "ann.lee" not in page
    assert f'Write to <a href="mailto:help@example.com?subject={order.code}">help@example.com</a>.' in page


def test_a_shop_without_a_contact_shows_none(client: Client) -> None:
    assert "mailto:" not in client.get("/").text


@pytest.mark.usefixtures("tea_shop")
def test_a_time_names_the_zone_of_the_shop(client: Client) -> None:
    make_product("MUG")
    order = make_order()
    tamper("UPDATE orders_order SET created_at = %s WHERE id = %s", NOON, order.pk)

    page = client.get(f"/orders/{order.code}/").text

    shown = '<time datetime="2026-07-01T12:00:00+00:00" data-shown="moment">July 1, 2026, 9 p.m. KST</time>'
    assert f"Placed {shown}" in page


def test_the_name_of_a_zone_follows_its_summer(settings: LazySettings) -> None:
    settings.TIME_ZONE = "Europe/London"

    assert write_time(NOON, "H:i") == "13:00 BST"
    assert write_time(NOON.replace(month=1), "H:i") == "12:00 GMT"


@pytest.mark.parametrize(
    ("form", "written"), [("SHORT_DATETIME_FORMAT", "2026년 7월 1일 오후 9:00 KST"), ("TIME_FORMAT", "오후 9:00 KST")]
)
@pytest.mark.usefixtures("tea_shop")
def test_koreans_read_the_half_of_the_day_before_the_hour(form: str, written: str) -> None:
    with translation.override("ko"):
        assert write_time(NOON, form) == written


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("tea_shop", "gateway")
def test_a_mail_says_whose_it_is_and_when_the_order_was_placed() -> None:
    order = make_confirmed()

    send_due_mails()

    mail = outbox.outbox[0]
    assert mail.body.rstrip().endswith("-- \nTea & Co\nhelp@example.com")
    assert f"Placed {write_time(order.created_at)}" in mail.body
    assert "KST" in mail.body
    assert isinstance(mail, EmailMultiAlternatives)
    assert "Tea &amp; Co" in str(mail.alternatives[0][0])


def test_what_a_status_says_of_a_time_is_markup_and_what_it_says_of_a_card_is_not(client: Client) -> None:
    order = make_order(hold_on_decline=600)
    answer_payment(order, Payment.Status.DECLINED, decline_code="<b>")
    tamper("UPDATE orders_order SET held_until = expires_at WHERE id = %s", order.pk)

    page = client.get(f"/orders/{order.code}/").text

    assert "Your items are put aside until <time datetime=" in page
    assert "<b>" not in page
