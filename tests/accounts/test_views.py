import re
from typing import Any

import pytest
from django.conf import LazySettings
from django.core import mail as outbox
from django.core.mail import EmailMessage
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.mails import send_due_mails
from accounts.models import AccountMail, User
from accounts.services import make_sign_up_token
from orders.models import Order
from orders.services import finalize_order
from orders.tasks import send_due_mails as send_all_due_mails
from payments.models import Payment
from tests.builders import answer_payment, everything, make_order, make_product

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


def ask_for_account(client: Client, email: str = "ann@example.com") -> Any:
    return client.post("/account/sign-up/", {"email": email})


def open_account(client: Client, link: str) -> Any:
    return client.post(link, {"new_password1": PASSWORD, "new_password2": PASSWORD})


def sign_up(client: Client, email: str = "ann@example.com") -> None:
    """Ask for an account, and open it with the link."""
    assert ask_for_account(client, email)["Location"] == "/account/sign-up/sent/"
    assert send_due_mails() == 1
    answer = open_account(client, find_link(outbox.outbox[-1]))
    assert (answer.status_code, answer["Location"]) == (302, "/orders/")


def log_in_unverified(client: Client, email: str = "ann@example.com") -> User:
    """An account that staff made."""
    user = User.objects.create_user(email, PASSWORD)
    client.force_login(user)
    return user


def ask_for_verification(client: Client) -> str:
    """The path of the link that is mailed."""
    client.post("/account/verify/")
    assert send_due_mails() == 1
    return find_link(outbox.outbox[-1])


def find_link(mail: Any) -> str:
    link = re.search(r"http://testserver(\S+)", str(mail.body))
    assert link
    return link[1]


def test_an_account_is_opened_by_the_mailed_link_which_keeps_the_cart(client: Client) -> None:
    make_product("MUG")
    client.post("/cart/add/", {"sku": "MUG", "quantity": 2})

    sign_up(client, "Ann@Example.com")

    ann = User.objects.get()
    assert (ann.email, ann.is_email_verified, ann.check_password(PASSWORD)) == ("ann@example.com", True, True)
    assert outbox.outbox[0].to == ["ann@example.com"]
    assert client.get("/orders/").status_code == 200
    assert client.session["cart"] == {"MUG": 2}


def test_nobody_has_an_account_before_the_link_is_opened(client: Client) -> None:
    ask_for_account(client)
    send_due_mails()
    link = find_link(outbox.outbox[0])

    page = client.get(link).text
    refused = client.post(link, {"new_password1": "short", "new_password2": "other"})

    assert "Choose a password for ann@example.com." in page
    assert refused.status_code == 200
    assert not User.objects.exists()
    assert client.get("/orders/").status_code == 302


@pytest.mark.parametrize("link", ["/account/sign-up/x/", "/account/sign-up/{}x/"])
def test_a_sign_up_link_that_is_not_ours_opens_no_account(client: Client, link: str) -> None:
    answer = open_account(client, link.format(make_sign_up_token("ann@example.com")))

    assert "This link is not valid, or too old." in answer.text
    assert not User.objects.exists()


def test_a_sign_up_link_that_is_too_old_opens_no_account(client: Client, settings: LazySettings) -> None:
    settings.VERIFICATION_LINK_AGE = -1

    answer = open_account(client, f"/account/sign-up/{make_sign_up_token('ann@example.com')}/")

    assert "too old" in answer.text
    assert not User.objects.exists()


def test_a_sign_up_link_opens_one_account_and_changes_no_password(client: Client) -> None:
    sign_up(client)
    link = find_link(outbox.outbox[0])

    again = Client().post(link, {"new_password1": "another horse battery", "new_password2": "another horse battery"})

    assert again["Location"] == "/account/log-in/"
    assert User.objects.get().check_password(PASSWORD)


# --- who has an account is nobody else's business


@pytest.mark.parametrize("path", ["/account/sign-up/", "/account/password/"])
def test_asking_for_a_link_answers_and_writes_and_costs_the_same_for_every_address(path: str) -> None:
    User.objects.create_user("ann@example.com", PASSWORD)
    User.objects.create_user("gone@example.com", PASSWORD, is_active=False)
    seen = []

    for email in ("ann@example.com", "bob@example.com", "gone@example.com"):
        with CaptureQueriesContext(connection) as queries:
            answer = Client().post(path, {"email": email})
        shapes = [re.sub(r"'[^']*'|\d+", "?", query["sql"]) for query in queries]
        headers = {name: value for name, value in answer.headers.items() if name != "X-Request-ID"}
        seen.append((answer.status_code, headers, answer.content, shapes))
        assert AccountMail.objects.filter(email=email).count() == 1

    assert seen[0] == seen[1] == seen[2]
    assert "accounts_user" not in str(seen)
    assert outbox.outbox == []


def test_the_owner_is_told_when_somebody_signs_up_with_the_address_of_an_account(client: Client) -> None:
    User.objects.create_user("ann@example.com", "first")

    ask_for_account(client, "ANN@example.com")

    assert send_due_mails() == 1
    assert outbox.outbox[0].subject == "You have an account already"
    assert "http://testserver/account/log-in/" in outbox.outbox[0].body
    assert User.objects.get().check_password("first")


@pytest.mark.parametrize("fields", [None, {"is_active": False}, {"password": None}])
def test_no_link_goes_to_an_address_whose_password_cannot_be_reset(
    client: Client, fields: dict[str, Any] | None
) -> None:
    if fields is not None:
        User.objects.create_user("ann@example.com", **{"password": PASSWORD, **fields})

    answer = client.post("/account/password/", {"email": "ann@example.com"}, follow=True)

    assert "If there is an account" in answer.text
    assert [send_due_mails(), send_due_mails()] == [0, 0]
    assert outbox.outbox == []
    assert AccountMail.objects.get().sent_at is not None


def test_an_address_that_no_mail_can_be_sent_to_is_refused(client: Client) -> None:
    for path in ("/account/sign-up/", "/account/password/"):
        answer = client.post(path, {"email": "a@" + "ü" * 60 + ".com"})
        assert "Enter a valid email address." in answer.text

    assert not AccountMail.objects.exists()


# --- the mails


def test_links_lead_to_the_shops_own_address_whatever_the_host_header_says(settings: LazySettings) -> None:
    settings.ALLOWED_HOSTS = ["shop.example.com", "evil.example"]
    settings.SHOP_URL = "https://shop.example.com"
    ann = User.objects.create_user("ann@example.com", PASSWORD)
    evil = Client(headers={"Host": "evil.example"})
    evil.force_login(ann)

    evil.post("/account/verify/")
    evil.post("/account/password/", {"email": "ann@example.com"})
    evil.post("/account/log-out/")
    ask_for_account(evil, "bob@example.com")

    assert send_due_mails() == 3
    for mail in outbox.outbox:
        assert "https://shop.example.com/account/" in mail.body
        assert "evil" not in mail.body


def test_an_account_mail_that_fails_is_sent_later_with_the_same_message_id(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def fail(_: object, messages: list[EmailMessage]) -> int:
        tried.append(messages[0].extra_headers["Message-ID"])
        raise OSError("gone")

    ask_for_account(client)
    with monkeypatch.context() as broken:
        broken.setattr(EmailBackend, "send_messages", fail)
        assert send_due_mails() == 0
    AccountMail.objects.update(send_after=timezone.now())

    assert send_due_mails() == 1
    assert [outbox.outbox[0].extra_headers["Message-ID"]] == tried


def test_the_worker_sends_the_mails_of_accounts_and_of_orders(client: Client) -> None:
    order = make_order()
    answer_payment(order, Payment.Status.SUCCEEDED)
    finalize_order(code=order.code)
    ask_for_account(client)

    send_all_due_mails()

    assert len(outbox.outbox) == 2


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
    client: Client,
) -> None:
    mine, theirs = make_order(), make_order(email="bob@example.com")
    log_in_unverified(client)
    assert client.get("/orders/").context["rows"] == []

    client.get(ask_for_verification(client))

    later = make_order()
    assert [order for order, _ in client.get("/orders/").context["rows"]] == [later, mine]
    assert theirs.code not in client.get("/orders/").text


def test_signing_up_verifying_and_logging_in_write_no_order(client: Client) -> None:
    make_order()
    before = everything()

    sign_up(client)
    client.get(ask_for_verification(client))
    client.post("/account/log-out/")
    client.post("/account/log-in/", {"username": "ann@example.com", "password": PASSWORD})

    assert User.objects.get().is_email_verified
    assert everything() == before


def test_a_link_opened_by_who_is_not_logged_in_verifies_nothing(client: Client) -> None:
    make_order()
    stranger = Client()
    log_in_unverified(stranger)  # to an account with Ann's address
    link = ask_for_verification(stranger)

    answer = client.get(link)  # Ann, curious

    assert answer["Location"].startswith("/account/log-in/")
    assert not User.objects.get().is_email_verified
    assert Order.objects.get().user is None


def test_a_link_is_for_one_account_and_one_address(client: Client) -> None:
    bob = Client()
    log_in_unverified(bob, "bob@example.com")
    log_in_unverified(client)
    bobs_link, anns_link = ask_for_verification(bob), ask_for_verification(client)

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


def test_an_old_link_verifies_nothing(client: Client, settings: LazySettings) -> None:
    settings.VERIFICATION_LINK_AGE = -1
    log_in_unverified(client)

    client.get(ask_for_verification(client))

    assert not User.objects.get().is_email_verified


def test_password_is_reset_by_a_mailed_link(client: Client) -> None:
    User.objects.create_user("ann@example.com", PASSWORD)

    client.post("/account/password/", {"email": "ANN@example.com"})
    assert send_due_mails() == 1
    link = find_link(outbox.outbox[0])
    form = client.get(link, follow=True)
    new = {"new_password1": "another horse battery", "new_password2": "another horse battery"}
    done = client.post(form.redirect_chain[-1][0], new, follow=True)

    assert done.redirect_chain[-1][0] == "/account/log-in/"
    assert "Your password is changed." in done.text
    assert User.objects.get().check_password("another horse battery")
    assert "used already" in Client().get(link, follow=True).text
