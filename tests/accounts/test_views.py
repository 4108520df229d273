import re

import pytest
from django.conf import LazySettings
from django.core.mail import EmailMessage
from django.test import Client

from accounts.models import User
from orders.models import Order
from tests.builders import everything, make_order, make_product

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


def sign_up(client: Client, email: str = "ann@example.com") -> None:
    answer = client.post("/account/sign-up/", {"email": email, "password1": PASSWORD, "password2": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (302, "/orders/")


def find_link(mail: EmailMessage) -> str:
    link = re.search(r"http://testserver(\S+)", str(mail.body))
    assert link
    return link[1]


def test_sign_up_logs_in_keeps_the_cart_and_mails_a_link(client: Client, mailoutbox: list[EmailMessage]) -> None:
    make_product("MUG")
    client.post("/cart/add/", {"sku": "MUG", "quantity": 2})

    sign_up(client, "Ann@Example.com")

    assert User.objects.get().email == "ann@example.com"
    assert client.get("/orders/").status_code == 200
    assert client.session["cart"] == {"MUG": 2}
    assert mailoutbox[0].to == ["ann@example.com"]


def test_sign_up_refuses_an_address_that_has_an_account(client: Client, mailoutbox: list[EmailMessage]) -> None:
    User.objects.create_user("ann@example.com", "first")

    answer = client.post(
        "/account/sign-up/", {"email": "ANN@example.com", "password1": PASSWORD, "password2": PASSWORD}
    )

    assert "There is an account with this email" in answer.text
    assert User.objects.get().check_password("first")
    assert mailoutbox == []


def test_sign_up_refuses_an_address_that_no_mail_can_be_sent_to(client: Client, mailoutbox: list[EmailMessage]) -> None:
    unsendable = {"email": "a@" + "ü" * 60 + ".com", "password1": PASSWORD, "password2": PASSWORD}

    answer = client.post("/account/sign-up/", unsendable)

    assert "Enter a valid email address." in answer.text
    assert not User.objects.exists()
    assert mailoutbox == []


def test_log_in_takes_the_address_in_any_case_and_log_out_needs_post(client: Client) -> None:
    User.objects.create_user("ann@example.com", PASSWORD)

    wrong = client.post("/account/log-in/", {"username": "ann@example.com", "password": "wrong"})
    right = client.post("/account/log-in/", {"username": "ANN@example.com", "password": PASSWORD})

    assert "The email or the password is wrong." in wrong.text
    assert right["Location"] == "/orders/"
    assert client.get("/account/log-out/").status_code == 405
    client.post("/account/log-out/")
    assert client.get("/orders/").status_code == 302


def test_log_in_goes_nowhere_else(client: Client) -> None:
    User.objects.create_user("ann@example.com", PASSWORD)

    answer = client.post(
        "/account/log-in/?next=https://evil.example/", {"username": "ann@example.com", "password": PASSWORD}
    )

    assert answer["Location"] == "/orders/"


def test_guest_orders_are_shown_to_the_account_once_its_address_is_verified(
    client: Client, mailoutbox: list[EmailMessage]
) -> None:
    mine, theirs = make_order(), make_order(email="bob@example.com")
    sign_up(client)
    assert client.get("/orders/").context["rows"] == []

    client.get(find_link(mailoutbox[0]))

    later = make_order()
    assert [order for order, _ in client.get("/orders/").context["rows"]] == [later, mine]
    assert theirs.code not in client.get("/orders/").text


def test_verifying_and_logging_in_write_no_order(client: Client, mailoutbox: list[EmailMessage]) -> None:
    make_order()
    before = everything()

    sign_up(client)
    client.get(find_link(mailoutbox[0]))
    client.post("/account/log-out/")
    client.post("/account/log-in/", {"username": "ann@example.com", "password": PASSWORD})

    assert User.objects.get().is_email_verified
    assert everything() == before


def test_a_link_opened_by_who_is_not_logged_in_verifies_nothing(client: Client, mailoutbox: list[EmailMessage]) -> None:
    make_order()
    sign_up(Client())  # a stranger, with Ann's address

    answer = client.get(find_link(mailoutbox[0]))  # Ann, curious

    assert answer["Location"].startswith("/account/log-in/")
    assert not User.objects.get().is_email_verified
    assert Order.objects.get().user is None


def test_a_link_is_for_one_account_and_one_address(client: Client, mailoutbox: list[EmailMessage]) -> None:
    sign_up(Client(), "bob@example.com")
    sign_up(client)
    bobs_link, anns_link = map(find_link, mailoutbox)

    for link in (bobs_link, anns_link[:-2] + "x/", "/account/verify/x/"):
        assert "too old, or for another account" in client.get(link, follow=True).text
    User.objects.filter(email="ann@example.com").update(email="new@example.com")
    client.get(anns_link)

    assert not User.objects.get(email="new@example.com").is_email_verified


def test_a_changed_address_is_not_verified() -> None:
    user = User(email="ann@example.com", verified_email="ann@example.com")
    assert user.is_email_verified
    user.email = "new@example.com"
    assert not user.is_email_verified


def test_an_old_link_verifies_nothing(client: Client, mailoutbox: list[EmailMessage], settings: LazySettings) -> None:
    settings.VERIFICATION_LINK_AGE = -1
    sign_up(client)

    client.get(find_link(mailoutbox[0]))

    assert not User.objects.get().is_email_verified


def test_another_link_is_sent_on_request(client: Client, mailoutbox: list[EmailMessage]) -> None:
    sign_up(client)

    client.post("/account/verify/")
    client.get(find_link(mailoutbox[1]))

    assert User.objects.get().is_email_verified


def test_sign_up_stands_when_the_mail_server_is_down(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: EmailMessage, **__: object) -> int:
        raise ConnectionRefusedError

    monkeypatch.setattr(EmailMessage, "send", fail)

    sign_up(client)

    assert "We could not send you the link" in client.get("/orders/").text


def test_password_is_reset_by_a_mailed_link(client: Client, mailoutbox: list[EmailMessage]) -> None:
    User.objects.create_user("ann@example.com", PASSWORD)

    client.post("/account/password/", {"email": "ANN@example.com"})
    form = client.get(find_link(mailoutbox[0]), follow=True)
    new = {"new_password1": "another horse battery", "new_password2": "another horse battery"}
    client.post(form.redirect_chain[-1][0], new)

    assert User.objects.get().check_password("another horse battery")
    assert "used already" in Client().get(find_link(mailoutbox[0]), follow=True).text


def test_password_reset_says_the_same_of_an_unknown_address(client: Client, mailoutbox: list[EmailMessage]) -> None:
    answer = client.post("/account/password/", {"email": "nobody@example.com"}, follow=True)

    assert "If there is an account" in answer.text
    assert mailoutbox == []
