"""The address of a mailbox is stored in one form, however it is spelled and wherever it comes in."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from accounts.email_addresses import EmailAddressField, read_email_address
from accounts.mails import send_due_mails
from accounts.models import AccountMail, User
from accounts.services import make_sign_up_token
from catalog.models import Product
from orders.models import Order
from tests.builders import make_order, make_product
from tests.shop.customer import fill_cart, open_checkout

PASSWORD = "correct horse battery"
ONE_FORM = {  # what is typed, and where it is mailed to
    "ann@example.com": "ann@example.com",
    "Ann@EXAMPLE.com": "ann@example.com",
    "  ann@example.com\t": "ann@example.com",
    "\u00a0ann@example.com\u3000": "ann@example.com",
    "a.n+n_o'x@mail.example.com": "a.n+n_o'x@mail.example.com",
    "ann@localhost": "ann@localhost",
    "ann@ab--cd.example.com": "ann@ab--cd.example.com",
    "ann@münchen.de": "ann@xn--mnchen-3ya.de",
    "ann@mu\u0308nchen.de": "ann@xn--mnchen-3ya.de",
    "ann@MÜNCHEN.de": "ann@xn--mnchen-3ya.de",
    "ann@XN--MNCHEN-3YA.de": "ann@xn--mnchen-3ya.de",
    "ann@straße.example": "ann@xn--strae-oqa.example",
    "ann@STRAẞE.example": "ann@xn--strae-oqa.example",
    "ann@ελληνικός.example": "ann@xn--qxaegecap6byf.example",
    "ann@d\u0131\u015f.example": "ann@xn--d-fka2l.example",  # a dotless i is a letter of its own
    "ann@한국.kr": "ann@xn--3e0b707e.kr",
    "ann@\u212aite.example": "ann@kite.example",  # a Kelvin sign is a k to Unicode, in every normal form
}
NO_FORM = {
    "nothing": "",
    "no at": "ann",
    "no domain": "ann@",
    "no local part": "@example.com",
    "a zero-width space behind": "ann@example.com\u200b",
    "a zero-width space in the domain": "ann@exam\u200bple.com",
    "a zero-width space before the at": "ann\u200b@example.com",
    "a zero-width non-joiner": "ann@exam\u200cple.com",
    "a soft hyphen": "ann@exam\u00adple.com",
    "a mark of direction": "\u200eann@example.com",
    "an override of direction": "ann@\u202eexample.com",
    "a no-break space": "ann\u00a0o@example.com",
    "a NUL": "a\0nn@example.com",
    "a line break": "ann@example.com\nbob@example.com",
    "a full-width letter in the domain": "ann@\uff45xample.com",
    "a full-width local part": "\uff41nn@example.com",
    "a full-width comma": "ann@x\uff0cy.com",
    "a full-width at": "ann\uff20example.com",
    "an ideographic full stop": "ann@x\u3002com",
    "a long s in the local part": "\u017fam@example.com",
    "a long s in the domain": "sam@\u017fite.example",
    "a Kelvin sign in the local part": "\u212aim@example.com",
    "a dotless i in the local part": "\u0131da@example.com",
    "a letter beyond ASCII in the local part": "zoë@example.com",
    "the same, decomposed": "zoe\u0308@example.com",
    "an emoji as the domain": "ann@\U0001f4a9.example",
    "the same in ASCII": "ann@xn--ls8h.example",
    "no IDNA at all": "ann@xn--ü.example",
    "too long in IDNA": "ann@" + "ü" * 60 + ".com",
    "a dot at the end": "ann@example.com.",
    "two dots": "ann@example..com",
    "a comment": "ann(home)@example.com",
    "a quoted local part": '"ann"@example.com',
    "a quoted local part with a control character": '"a\x01b"@example.com',
    "an IP address": "ann@[127.0.0.1]",
    "too long": "a" * 64 + "@" + "b" * 60 + "." + ("c" * 60 + ".") * 3 + "com",
    "very long": "a@" + "ü" * 100_000,
}
refused = pytest.mark.parametrize("address", NO_FORM.values(), ids=NO_FORM)
accepted = pytest.mark.parametrize(("address", "one_form"), ONE_FORM.items(), ids=map(ascii, ONE_FORM))


@pytest.fixture(autouse=True)
def _quick_passwords(settings: LazySettings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


Entry = Callable[[str], str | None]  # takes what is typed, and answers with what is stored; None: refused


def check_out(address: str) -> str | None:
    client = Client()
    fill_cart(client, MUG=1)
    client.post("/checkout/", open_checkout(client, email=address))
    order = Order.objects.first()
    return order.email if order else None


def call_api(address: str) -> str | None:
    if not Product.objects.exists():
        make_product()
    body = {"email": address, "lines": [{"sku": "MUG", "quantity": 1}], "payment_method": "pm_card_visa"}
    headers = {"Idempotency-Key": uuid4().hex}
    answer = Client().post("/api/orders", body, content_type="application/json", headers=headers)
    assert answer.status_code == 201 or answer.json()["error"] == "bad_field"
    order = Order.objects.first()
    return order.email if order else None


def sign_up(address: str) -> str | None:
    visitor = Client()
    visitor.post("/account/sign-up/", {"email": address})
    for mail in AccountMail.objects.all():
        link = reverse("create-account", args=[make_sign_up_token(mail.email)])
        visitor.post(link, {"new_password1": PASSWORD, "new_password2": PASSWORD})
    return read_only_user()


def add_as_staff(address: str) -> str | None:
    new = {"email": address, "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    return act_as_staff(lambda client: client.post("/admin/accounts/user/add/", new))


def change_as_staff(address: str) -> str | None:
    user, _ = User.objects.get_or_create(email="before@example.com")
    act_as_staff(lambda client: client.post(f"/admin/accounts/user/{user.pk}/change/", {"email": address}))
    user.refresh_from_db()
    return None if user.email == "before@example.com" else user.email


def create_superuser(address: str) -> str | None:
    try:
        call_command("createsuperuser", interactive=False, verbosity=0, email=address)
    except (CommandError, ValidationError):
        return None
    return read_only_user()


def act_as_staff(act: Callable[[Client], object]) -> str | None:
    staff, client = User.objects.get_or_create(email="staff@example.com", is_staff=True, is_superuser=True)[0], Client()
    client.force_login(staff)
    act(client)
    return read_only_user()


def read_only_user() -> str | None:
    user = User.objects.exclude(email__in=["staff@example.com", "before@example.com"]).first()
    return user.email if user else None


entries = pytest.mark.parametrize(
    "entry",
    [check_out, call_api, sign_up, add_as_staff, change_as_staff, create_superuser],
    ids=lambda entry: entry.__name__,
)


@accepted
def test_an_address_has_one_form(address: str, one_form: str) -> None:
    assert read_email_address(address) == EmailAddressField().clean(address) == one_form
    assert read_email_address(one_form) == one_form
    assert one_form.encode("ascii").decode("idna").encode("idna")  # Django's mail sends it as it is


@refused
def test_an_address_that_has_no_form_that_can_be_mailed_to_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="Enter a valid email address"):
        read_email_address(address)


@entries
@accepted
@pytest.mark.django_db
def test_every_entry_stores_the_same_form(entry: Entry, address: str, one_form: str) -> None:
    assert entry(address) == one_form


@entries
@pytest.mark.django_db
def test_every_entry_refuses_the_same(entry: Entry) -> None:
    assert {name: taken for name, address in NO_FORM.items() if (taken := entry(address))} == {}


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["/account/log-in/", "/admin/login/"])
@accepted
def test_log_in_takes_every_spelling(client: Client, address: str, one_form: str, page: str) -> None:
    user = User.objects.create_user(one_form, PASSWORD, is_staff=True)

    client.post(page, {"username": address, "password": PASSWORD})

    assert client.session["_auth_user_id"] == str(user.pk)
    assert Client().login(email=address, password=PASSWORD)


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["/account/log-in/", "/admin/login/"])
def test_log_in_takes_nothing_for_what_it_only_looks_like(client: Client, page: str) -> None:
    known = ["ann@example.com", "sam@example.com", "kim@example.com", "ida@example.com", "sam@site.example"]
    User.objects.bulk_create(User(email=email, password=make_password(PASSWORD), is_staff=True) for email in known)

    for address in NO_FORM.values():
        client.post(page, {"username": address, "password": PASSWORD})

        assert "_auth_user_id" not in client.session, address
        assert not client.login(email=address, password=PASSWORD)


@pytest.mark.django_db
def test_the_limit_of_tries_counts_an_account_under_every_spelling(client: Client, settings: LazySettings) -> None:
    settings.LOG_IN_LIMITS, settings.REDIS_PREFIX = {"account": 2, "ip": 0}, uuid4().hex
    User.objects.create_user("ann@xn--mnchen-3ya.de", PASSWORD)
    for spelling in ("ann@münchen.de", "ANN@mu\u0308nchen.de"):
        client.post("/account/log-in/", {"username": spelling, "password": "wrong"})

    answer = client.post("/account/log-in/", {"username": "ann@xn--mnchen-3ya.de", "password": PASSWORD})

    assert "Too many attempts" in answer.text
    assert "_auth_user_id" not in client.session


@pytest.mark.django_db
def test_a_mailbox_gets_no_more_links_under_other_spellings(
    client: Client, settings: LazySettings, mailoutbox: list[EmailMessage]
) -> None:
    settings.MAIL_LIMITS, settings.REDIS_PREFIX = {"account": 2, "ip": 0}, uuid4().hex
    User.objects.create_user("sissi@xn--mnchen-3ya.de", PASSWORD)

    for local in ("sissi", "Sissi", "\u017fissi", "si\u017fsi", "s\u0131ssi", "\uff53issi", " sissi"):
        for domain in ("münchen.de", "mu\u0308nchen.de", "MÜNCHEN.de", "xn--mnchen-3ya.de", "mün\u00adchen.de"):
            client.post("/account/password/", {"email": f"{local}@{domain}"})
    send_due_mails()

    assert [mail.to for mail in mailoutbox] == [["sissi@xn--mnchen-3ya.de"]] * 2


@pytest.mark.django_db
def test_who_has_no_password_of_ours_or_is_inactive_gets_no_link(
    client: Client, mailoutbox: list[EmailMessage]
) -> None:
    User.objects.create_user("bare@example.com")
    User.objects.create_user("gone@example.com", PASSWORD, is_active=False)

    for address in ("bare@example.com", "gone@example.com"):
        client.post("/account/password/", {"email": address})
    send_due_mails()

    assert mailoutbox == []


@pytest.mark.django_db(transaction=True)
def test_no_spelling_gets_past_the_limit_of_unpaid_orders(settings: LazySettings) -> None:
    settings.SHOP_MAX_UNPAID = 2
    make_product()
    statuses = []
    for spelling in ("ann@münchen.de", "Ann@mu\u0308nchen.de", "ann@XN--MNCHEN-3YA.de", "ann@\uff4dünchen.de"):
        body = {"email": spelling, "lines": [{"sku": "MUG", "quantity": 1}], "payment_method": "pm_card_visa"}
        headers = {"Idempotency-Key": uuid4().hex}
        statuses.append(
            Client().post("/api/orders", body, content_type="application/json", headers=headers).status_code
        )

    assert statuses == [201, 201, 409, 400]
    assert Order.objects.count() == 2


@pytest.mark.django_db
def test_a_verified_address_finds_the_orders_of_a_guest_under_every_spelling(client: Client) -> None:
    user = User.objects.create_user("ann@MÜNCHEN.de", PASSWORD)
    user.verified_email = user.email
    user.save()
    assert call_api("ann@mu\u0308nchen.de") == user.email

    client.force_login(user)

    assert [order.email for order, _ in client.get("/orders/").context["rows"]] == ["ann@xn--mnchen-3ya.de"]


@pytest.mark.django_db
def test_staff_find_an_order_under_every_spelling(admin_client: Client) -> None:
    order = make_order(email="ann@xn--mnchen-3ya.de")
    make_order()

    for term in ("Ann@münchen.de ", "ann@mu\u0308nchen.de", "ann@xn--mnchen-3ya.de"):
        found = admin_client.get("/admin/orders/order/", {"q": term}).context["cl"].result_list
        assert list(found) == [order]


@pytest.mark.django_db
def test_staff_find_an_account_under_every_spelling(admin_client: Client) -> None:
    user = User.objects.create_user("zoe@xn--mnchen-3ya.de")

    for term in ("Zoe@münchen.de ", "zoe@mu\u0308nchen.de", "zoe@xn--", "zoe"):
        found = admin_client.get("/admin/accounts/user/", {"q": term}).context["cl"].result_list
        assert list(found) == [user]


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["Ann@example.com", "zoe@example.com\u200b", "ann@münchen.de", "a\nb@example.com"])
def test_the_database_refuses_another_form(address: str) -> None:
    user, order = User.objects.create_user("ann@example.com"), make_order()

    for row in (user, order):
        with pytest.raises(IntegrityError, match="_email_is_ascii_lower"), transaction.atomic():
            type(row).objects.filter(pk=row.pk).update(email=address)
