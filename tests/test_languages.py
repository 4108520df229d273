"""The shop in Korean and in English: every text, every page, every mail."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from django.conf import LazySettings, settings
from django.core import mail as outbox
from django.db.models.functions import Now
from django.template.loader import render_to_string
from django.test import Client
from django.utils import timezone, translation

from accounts.mails import send_due_mails as send_account_mails
from accounts.models import User
from accounts.services import make_sign_up_token
from audit.models import Tick
from lab.sandbox.cards import TEST_CARDS
from lab.stack.var import BASE_DIR
from orders.mails import send_due_mails
from orders.models import Order
from orders.refund_answers import record_refund
from orders.services import finalize_order
from payments.models import Payment
from payments.refund_models import Refund
from payments.refund_requests import record_answer
from payments.refunds import make_key
from tests.builders import answer_payment, make_order, make_product, tamper

KOREAN = {"Accept-Language": "ko-KR,ko;q=0.9,en;q=0.5"}
CATALOG = Path("locale/ko/LC_MESSAGES/django.po")
CATALOGS = [CATALOG, Path("lab/sandbox") / CATALOG]
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|{\w*}|%[sd]")
NOT_SOURCE = shutil.ignore_patterns(".*", "var", "data", "docs", "tests", "__pycache__", "*.mo")
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _own_language() -> Iterator[None]:
    """A request leaves its language in the thread."""
    with translation.override("en", deactivate=True):
        yield


def read_catalog(path: Path, root: Path = BASE_DIR) -> Catalog:
    with (root / path).open("rb") as file:
        return read_po(file, locale="ko")


def texts(catalog: Catalog) -> dict[tuple[str, str], list[str]]:
    """What is said, by what is meant; a plural is known by its singular, as gettext looks it up."""
    return {(context_of(message), forms(message.id)[0]): forms(message.string) for message in catalog if message.id}


def context_of(message: Message) -> str:
    context: str | bytes = message.context or ""  # bytes, where Babel has read it out of a .mo
    return context.decode() if isinstance(context, bytes) else context


def forms(text: str | Iterable[str] | None) -> list[str]:
    """Of a text: itself, or its singular and its plurals."""
    return [text or ""] if text is None or isinstance(text, str) else list(text)


# --- the catalogue


@pytest.mark.parametrize("path", CATALOGS, ids=str)
def test_every_text_is_translated(path: Path) -> None:
    catalog = read_catalog(path)

    assert [meant for meant, said in texts(catalog).items() if not all(said)] == []
    assert [message.id for message in catalog if message.fuzzy] == []
    assert list(catalog.obsolete) == []


def test_the_catalogue_has_the_texts_of_the_code_and_no_others(tmp_path: Path) -> None:
    if shutil.which("xgettext") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no gettext here: apt-get install gettext")
    copy = Path(shutil.copytree(BASE_DIR, tmp_path / "copy", ignore=NOT_SOURCE))

    command = ["make", "messages", "VENV=.venv", "--assume-old=.venv/ready", f"PY={shlex.quote(sys.executable)}"]
    subprocess.run(command, cwd=copy, check=True, capture_output=True)

    for path in CATALOGS:
        assert texts(read_catalog(path, copy)).keys() == texts(read_catalog(path)).keys()


@pytest.mark.parametrize("path", CATALOGS, ids=str)
def test_what_is_compiled_is_what_is_written(path: Path) -> None:
    with (BASE_DIR / path).with_suffix(".mo").open("rb") as file:
        compiled = read_mo(file)

    assert texts(compiled) == texts(read_catalog(path))


@pytest.mark.parametrize("path", CATALOGS, ids=str)
def test_a_translation_has_the_placeholders_of_its_text(path: Path) -> None:
    for message in read_catalog(path):
        for said in forms(message.string):
            assert placeholders(said) == placeholders(forms(message.id)[-1])


def placeholders(text: str) -> list[str]:
    return sorted(PLACEHOLDER.findall(text))


def test_the_sandboxs_cards_are_named_in_the_customers_language() -> None:
    assert [(token, str(title)) for token, title in settings.SHOP_PAYMENT_METHODS] == list(TEST_CARDS.items())
    with translation.override("ko"):
        assert [str(title) for _, title in settings.SHOP_PAYMENT_METHODS][::4] == [
            "테스트 카드: 결제 성공",
            "테스트 카드: 승인 거절",
        ]


# --- the pages

# Names and addresses are the same in every language.
NAMES = {"Orderly", "English", "UTC", "CVC", "ann@example.com", "example.com"}
WORD = re.compile(r"[A-Za-z][A-Za-z@.]{2,}")


class VisibleText(HTMLParser):
    """What is seen or read out of a page, attributes included."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.unseen = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.unseen = tag in ("script", "style")
        seen = {"alt", "aria-label", "data-busy", "placeholder", "title"}
        if ("type", "submit") in attrs:
            seen.add("value")  # so the admin writes its buttons
        self.parts += [value or "" for name, value in attrs if name in seen]

    def handle_data(self, data: str) -> None:
        if not self.unseen:
            self.parts.append(data)


def find_english(page: str, *codes: str) -> list[str]:
    """The Latin words of a page that are no names and no codes."""
    seen = " ".join(VisibleText(page).parts)
    for code in codes:
        seen = seen.replace(code, "")
    return sorted(set(WORD.findall(seen)) - NAMES)


def assert_korean(client: Client, path: str, *, status: int = 200) -> None:
    answer = client.get(path, headers=KOREAN)
    assert (answer.status_code, answer["Content-Language"]) == (status, "ko")
    assert '<html lang="ko">' in answer.text
    assert find_english(answer.text, *Order.objects.values_list("code", flat=True)) == []


@pytest.fixture
def mug() -> Any:
    return make_product("853", name="머그컵", stock=1_234, price=12_000, currency="KRW")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?q=853",
        "/?q=9",
        "/cart/",
        "/account/log-in/",
        "/account/sign-up/",
        "/account/password/",
        "/account/password/sent/",
        "/account/password/x/y/",
    ],
)
def test_a_page_is_korean_for_who_reads_korean(client: Client, mug: Any, path: str) -> None:
    assert_korean(client, path)


@pytest.mark.django_db
def test_an_empty_shop_is_korean(client: Client) -> None:
    assert_korean(client, "/")
    assert_korean(client, "/nowhere/", status=404)


@pytest.mark.django_db
@pytest.mark.parametrize("stock", [0, 3, 1_234])
def test_a_product_is_korean_with_its_price_and_its_stock(client: Client, stock: int) -> None:
    mug = make_product("853", name="머그컵", stock=stock, price=12_000, currency="KRW")

    assert_korean(client, mug.get_absolute_url())

    page = client.get(mug.get_absolute_url(), headers=KOREAN).text
    assert "₩12,000" in page
    assert ("재고 있음" in page) == (stock == 1_234)


@pytest.mark.django_db
def test_the_way_to_an_order_is_korean_whatever_stands_in_it(client: Client, mug: Any) -> None:
    gone = make_product("854", name="컵", currency="KRW")
    for product in (mug, gone):
        client.post("/cart/add/", {"sku": product.sku, "quantity": 3}, headers=KOREAN)
    for path in ("/cart/", "/checkout/"):
        assert_korean(client, path)

    for change in ({"price": 700}, {"currency": "EUR"}, {"active": False}):
        type(gone).objects.filter(pk=gone.pk).update(**change)
        for path in ("/cart/", "/checkout/"):
            assert_korean(client, path)


@pytest.mark.django_db
def test_a_form_says_what_is_wrong_in_korean(client: Client, mug: Any) -> None:
    client.post("/cart/add/", {"sku": mug.sku, "quantity": 1}, headers=KOREAN)
    bad = {"email": "x", "password1": "1", "password2": "2", "username": "x@example.com", "password": "x"}

    for path in ("/account/sign-up/", "/account/log-in/", "/account/password/", "/checkout/"):
        assert find_english(client.post(path, bad, headers=KOREAN).text, "x@example.com") == []


def end_order(order: Order, answer: Payment.Status) -> Order:
    answer_payment(order, answer)
    return finalize_order(code=order.code)


@pytest.mark.django_db
@pytest.mark.parametrize("status", Payment.Status)
@pytest.mark.parametrize("reason", ["", *Order.CancelReason])
def test_an_order_is_korean_in_each_state(client: Client, mug: Any, status: Payment.Status, reason: str) -> None:
    ann = User.objects.create_user("ann@example.com", PASSWORD)
    order = make_order({mug.sku: 1}, user=ann)
    client.force_login(ann)
    answer_payment(order, status)
    states: list[dict[str, Any]] = [
        {"cancel_reason": reason},
        {"cancel_reason": reason, "needs_review": True},
        {"cancel_reason": reason, "expires_at": timezone.now()},
    ]
    if reason:
        states.append({"status": "CANCELLED", "finalized_at": timezone.now()})

    for state in states:
        Order.objects.update(**state)
        for path in (f"/orders/{order.code}/", f"/orders/{order.code}/status/", "/orders/"):
            answer = client.get(path, headers=KOREAN)
            assert find_english(answer.text, order.code) == []


@pytest.mark.django_db
def test_a_confirmed_order_is_korean(client: Client, mug: Any) -> None:
    order = end_order(make_order({mug.sku: 1}), Payment.Status.SUCCEEDED)

    assert_korean(client, f"/orders/{order.code}/")

    page = client.get(f"/orders/{order.code}/", headers=KOREAN).text
    assert "결제가 완료되어 주문이 확정되었습니다." in page
    assert f"{order.created_at:%Y년} {order.created_at.month}월 {order.created_at.day}일" in page


@pytest.mark.django_db
@pytest.mark.parametrize(
    "code",
    ["insufficient_funds", "expired_card", "incorrect_cvc", "processing_error", "authentication_required", "other"],
)
def test_a_decline_is_explained_in_korean(client: Client, mug: Any, code: str) -> None:
    order = end_order(make_order({mug.sku: 1}), Payment.Status.DECLINED)
    tamper("UPDATE payments_payment SET decline_code = %s", code)

    assert_korean(client, f"/orders/{order.code}/")


@pytest.mark.parametrize("name", ["400", "403", "403_csrf", "404", "500"])
def test_a_page_that_tells_of_an_error_is_korean(name: str) -> None:
    with translation.override("ko"):
        page = render_to_string(f"{name}.html")

    assert find_english(page) == []
    assert "setlang" not in page  # without a request there is no CSRF token to post


def test_english_on_a_korean_page_would_be_found() -> None:
    page = '<title>주문</title><p title="Pay">결제 - Orderly</p><script>let it</script><b>Sold out</b>'
    form = '<input type="text" value="what was typed"><input type="submit" value="Save">'

    assert find_english(page + form) == ["Pay", "Save", "Sold", "out"]


# --- who reads what


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("asked", "language"),
    [("ko", "ko"), ("ko-KR", "ko"), ("en-GB,ko;q=0.5", "en"), ("fr", "en"), ("fr,ko;q=0.5", "ko"), ("", "en")],
)
def test_the_browser_chooses_the_language_and_english_stands_in(client: Client, asked: str, language: str) -> None:
    answer = client.get("/", headers={"Accept-Language": asked})

    assert answer["Content-Language"] == language
    assert {"Accept-Language", "Cookie"} <= set(re.split(r",\s*", answer["Vary"]))


@pytest.mark.django_db
def test_the_footer_switches_the_language_and_it_stays(client: Client) -> None:
    page = client.get("/?q=a", headers={"Accept-Language": "en"}).text
    assert re.search(r'value="en" lang="en" aria-current="true">English</button>', page)
    assert re.search(r'value="ko" lang="ko">한국어</button>', page)
    assert 'name="next" value="/?q=a"' in page

    switched = client.post("/i18n/setlang/", {"language": "ko", "next": "/?q=a"})

    assert (switched.status_code, switched["Location"]) == (302, "/?q=a")
    cookie = switched.cookies["django_language"]
    assert (cookie["httponly"], cookie["samesite"], int(cookie["max-age"]) > 0) == (True, "Lax", True)
    page = client.get("/?q=a", headers={"Accept-Language": "en"}).text
    assert '<html lang="ko">' in page
    assert re.search(r'value="ko" lang="ko" aria-current="true">', page)


@pytest.mark.django_db
def test_the_switch_goes_nowhere_else_and_needs_the_csrf_token(client: Client) -> None:
    answer = client.post("/i18n/setlang/", {"language": "ko", "next": "https://evil.example/"})
    assert answer["Location"] == "/"

    strict = Client(enforce_csrf_checks=True)
    assert strict.post("/i18n/setlang/", {"language": "ko"}).status_code == 403


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["fr", "xx", "서울", "../ko", ""])
def test_a_language_that_the_shop_has_not_is_not_taken(client: Client, language: str) -> None:
    client.post("/i18n/setlang/", {"language": language})

    assert client.get("/", headers=KOREAN)["Content-Language"] == "ko"
    assert client.get("/")["Content-Language"] == "en"


@pytest.mark.django_db
def test_a_status_in_another_language_is_another_answer(client: Client) -> None:
    page = f"/orders/{make_order().code}/status/"
    english = client.get(page)

    korean = client.get(page, headers={**KOREAN, "If-None-Match": english["ETag"]})
    again = client.get(page, headers={**KOREAN, "If-None-Match": korean["ETag"]})

    assert (korean.status_code, again.status_code) == (200, 304)
    assert "예약됨" in korean.text
    for answer in (english, korean, again):
        assert {"Accept-Language", "Cookie"} <= set(re.split(r",\s*", answer["Vary"]))


# --- the mails


@pytest.mark.django_db
@pytest.mark.parametrize("worker", ["ko", "en", None])
@pytest.mark.parametrize("answer", [Payment.Status.SUCCEEDED, Payment.Status.DECLINED, Payment.Status.CANCELLED])
def test_a_mail_is_in_the_orders_language_whatever_the_worker_speaks(
    mug: Any, answer: Payment.Status, worker: str | None
) -> None:
    with translation.override("ko"):
        korean = end_order(make_order({mug.sku: 2}), answer)
    english = end_order(make_order({mug.sku: 2}), answer)

    with translation.override(worker):
        assert send_due_mails() == 2
        assert translation.get_language() == worker

    for order, language in ((korean, "ko"), (english, "en")):
        message = find_mail(order)
        page = message.alternatives[0][0]
        assert f'<html lang="{language}">' in page
        assert "₩24,000" in message.body
        for text in (message.subject, message.body, page):
            assert bool(find_english(text, order.code)) == (language == "en")


def find_mail(order: Order) -> Any:
    return next(message for message in outbox.outbox if order.code in message.subject)


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["fr", "", "nonsense"])
def test_a_mail_in_a_language_the_shop_has_not_is_in_the_shops_own(mug: Any, language: str) -> None:
    order = end_order(make_order({mug.sku: 1}), Payment.Status.SUCCEEDED)
    Order.objects.update(language=language)

    with translation.override("ko"):
        assert send_due_mails() == 1

    assert outbox.outbox[0].subject == f"Your order {order.code} is confirmed"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "is_known", "subject"),
    [
        ("/account/sign-up/", False, "계정 만들기"),
        ("/account/sign-up/", True, "이미 계정이 있습니다"),
        ("/account/password/", True, "새 비밀번호 설정"),
        ("/account/verify/", True, "이메일 주소를 확인해 주십시오"),
    ],
)
def test_the_accounts_mails_are_in_the_readers_language(
    client: Client, path: str, is_known: bool, subject: str
) -> None:
    if is_known:
        ann = User.objects.create_user("ann@example.com", PASSWORD)
        if path == "/account/verify/":
            client.force_login(ann)
    client.post(path, {"email": "ann@example.com"}, headers=KOREAN)

    assert send_account_mails() == 1

    (mail,) = outbox.outbox
    assert mail.subject == subject
    assert find_english(re.sub(r"http\S+", "", str(mail.body))) == []


@pytest.mark.django_db
def test_the_way_to_an_account_is_korean(client: Client) -> None:
    assert_korean(client, "/account/sign-up/sent/")
    assert_korean(client, "/account/sign-up/x/")
    assert_korean(client, f"/account/sign-up/{make_sign_up_token('ann@example.com')}/")


# --- the back office

STAFF_NAMES = {"API", "CSV", "ISO", "JPEG", "KRW", "PENDING", "PNG", "SKU", "UTF", "WebP"}
STAFF_NAMES |= {"card", "charge", "delivery", "stripe", "visa"}
STAFF_NAMES |= {"sku", "quantity", "reason"}  # columns of a file
STAFF_NAMES |= {"Search", "True", "False", "Select", "option"}  # Django's own, which its Korean lacks


@pytest.mark.django_db
def test_the_back_office_is_korean(client: Client, mug: Any) -> None:
    client.force_login(User.objects.create_superuser("ann@example.com", PASSWORD))
    waiting, ended = make_order({mug.sku: 2}), end_order(make_order({mug.sku: 1}), Payment.Status.SUCCEEDED)
    Tick.objects.update(ended_at=Now())

    for path in (
        "",
        "accounts/apitoken/",
        "accounts/apitoken/add/",
        "catalog/product/",
        f"catalog/product/{mug.pk}/change/",
        "catalog/stock/",
        "catalog/stock/move/",
        f"catalog/stock/{mug.pk}/adjust/",
        f"catalog/stock/{mug.pk}/change/",
        f"catalog/stock/{mug.pk}/receive/",
        "catalog/stockmovement/",
        "audit/auditrun/",
        "orders/order/",
        "orders/order/dashboard/",
        f"orders/order/{waiting.pk}/change/",
        f"orders/order/{ended.pk}/change/",
        "payments/payment/",
        f"payments/payment/{waiting.payment_id}/change/",
    ):
        page = client.get(f"/admin/{path}", headers=KOREAN).text
        codes = [code for order in (waiting, ended) for code in (order.code, order.checkout_key)]
        assert set(find_english(page, *codes)) <= STAFF_NAMES, path


@pytest.mark.django_db
@pytest.mark.parametrize("action", ["cancel_orders", "process_orders", "mark_orders_reviewed"])
def test_what_staff_do_to_orders_is_asked_and_told_in_korean(client: Client, mug: Any, action: str) -> None:
    client.force_login(User.objects.create_superuser("ann@example.com", PASSWORD))
    order = make_order({mug.sku: 2})
    answer_payment(order, Payment.Status.SENT)
    Order.objects.update(needs_review=True)
    asked = {"action": action, "_selected_action": order.pk}

    for note in ({}, {"confirmed": "yes", "note": "가" * 501}, {"confirmed": "yes", "note": "고객이 전화했습니다"}):
        page = client.post("/admin/orders/order/", {**asked, **note}, headers=KOREAN, follow=True).text
        assert set(find_english(page, order.code, order.checkout_key)) <= STAFF_NAMES, note

    assert "고객이 전화했습니다" in page


@pytest.mark.django_db
def test_a_refund_is_asked_for_and_told_in_korean(client: Client, mug: Any, settings: LazySettings) -> None:
    settings.CUSTOMER_REFUND_HOURS = 1
    client.force_login(User.objects.create_superuser("ann@example.com", PASSWORD))
    order = end_order(make_order({mug.sku: 3}), Payment.Status.SUCCEEDED)
    desk, units = f"/admin/orders/order/{order.pk}/", f"quantity_{order.lines.get().pk}"

    pages = [client.get(f"/orders/{order.code}/refund/", headers=KOREAN)]
    for typed in ({}, {"amount": "9999"}, {units: "1"}, {units: "2"}, {"number": "2", units: "1"}):
        asked = {"number": "1", "note": "고객이 전화했습니다", **typed}
        pages.append(client.post(f"{desk}refund/", asked, headers=KOREAN, follow=True))
    record_answer(Refund.objects.get(number=1), status=Refund.Status.SUCCEEDED, provider_id="re_1")
    record_refund(key=make_key(order.payment, 1))
    for path in (f"{desk}change/", "/admin/orders/order/", f"/orders/{order.code}/", "/orders/"):
        pages.append(client.get(path, headers=KOREAN))

    for page in pages:
        names = [order.code, order.checkout_key, f"pi_{order.code}", "re_1", make_key(order.payment, 1)]
        assert set(find_english(page.text, *names)) <= STAFF_NAMES | NAMES
