"""Every address of the shop: whom it serves and what it is sent. A test fails if the resolver knows another one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.contrib import admin
from django.urls import URLPattern, URLResolver, get_resolver

SAFE = ("GET", "HEAD")
POST = ("POST",)
FORM = (*SAFE, "POST")
READ = (*SAFE, "OPTIONS")
CHANGE = ("POST", "OPTIONS")
DJANGO = (*FORM, "OPTIONS", "PUT")  # its own class-based views with a form
ANY = (*DJANGO, "PATCH", "DELETE", "TRACE")


@dataclass(frozen=True)
class Address:
    """`path` is filled with what the world has. `fields` is a request that is right but for one thing, if any."""

    pattern: str  # as the resolver writes it
    path: str
    methods: tuple[str, ...]
    kind: str = "page"  # page, api, admin, webhook or probe
    fields: Mapping[str, Any] = field(default_factory=dict)
    free: tuple[str, ...] = ()  # fields that may have any text

    def __str__(self) -> str:
        return self.path

    @property
    def changes(self) -> bool:
        return "POST" in self.methods


LINE = {"sku": "MUG", "quantity": 1}
ORDER = {
    "email": "eve@example.com",
    "lines": [LINE],
    "payment_method": "pm_card_visa",
    "gateway": "nobody's",  # which refuses what would else be an order
    "expected_total": 1,
    "expected_currency": "GBP",
    "hold_on_decline": 60,
    "metadata": {"a": 1},
}
PAYMENT = {"number": 2, "payment_method": "pm_card_visa", "gateway": "stripe"}
REFUND = {"number": 9, "lines": [{**LINE, "restock": True}], "amount": 1, "note": ""}
ADJUSTMENT = {"quantity": 1, "reason": ""}
CHECKOUT = {"checkout_key": "x", "fingerprint": "x", "email": "eve@example.com", "payment_method": "pm_card_visa"}


def list_api(root: str) -> Iterator[Address]:
    """The calls on orders, which have two addresses."""
    code = f"{root}orders/<order_code:code>"
    yield Address(f"{root}orders", f"/{root}orders", (*READ, "POST"), "api", ORDER, ("payment_method", "gateway"))
    yield Address(code, f"/{root}orders/{{code}}", READ, "api")
    yield Address(f"{code}/payments", f"/{root}orders/{{code}}/payments", CHANGE, "api", PAYMENT, ("payment_method",))
    yield Address(f"{code}/cancel", f"/{root}orders/{{code}}/cancel", CHANGE, "api")
    yield Address(f"{code}/refunds", f"/{root}orders/{{code}}/refunds", CHANGE, "api", REFUND)


API = [
    *list_api("api/v1/"),
    *list_api("api/"),
    Address("api/v1/openapi.json", "/api/v1/openapi.json", READ, "api"),
    Address("api/v1/docs", "/api/v1/docs", READ, "api"),
    Address("api/v1/", "/api/v1/", (), "api"),
    Address("api/v1/products", "/api/v1/products", READ, "api"),
    Address("api/v1/products/<path:sku>", "/api/v1/products/MUG", READ, "api"),
    Address("api/v1/stock/<path:sku>", "/api/v1/stock/MUG", READ, "api"),
    Address(
        "api/v1/stock/<path:sku>/adjustments", "/api/v1/stock/MUG/adjustments", CHANGE, "api", ADJUSTMENT, ("reason",)
    ),
    Address("api/v1/events", "/api/v1/events", READ, "api"),
    Address("api/", "/api/nothing", (), "api"),
]
CALLS = [address for address in API if address.changes and "/v1/" in address.path]  # the other addresses lead to these
SHOP = [
    Address("favicon.ico", "/favicon.ico", ANY),
    Address("", "/", SAFE),
    Address("products/<slug:slug>/<path:sku>/", "/products/the-mug/MUG/", SAFE),
    Address("cart/", "/cart/", SAFE),
    Address("cart/add/", "/cart/add/", POST, fields={"sku": "MUG", "quantity": "1"}),
    Address("cart/change/", "/cart/change/", POST, fields={"sku": "MUG", "quantity": "1", "remove": "CUP"}),
    Address("cart/fit/", "/cart/fit/", POST, fields={"sku": "MUG", "quantity": "1"}),
    Address("waiting/", "/waiting/", SAFE),
    Address("checkout/", "/checkout/", FORM, fields=CHECKOUT),
    Address("media/products/<picture:name>", "/media/products/1-0123456789abcdef0123-320.webp", SAFE),
    Address("orders/", "/orders/", SAFE),
    Address("orders/find/", "/orders/find/", SAFE),
    Address("orders/<code:code>/", "/orders/{code}/", SAFE),
    Address("orders/<code:code>/status/", "/orders/{code}/status/", SAFE),
    Address("orders/<code:code>/cancel/", "/orders/{code}/cancel/", FORM),
    Address("orders/<code:code>/pay/", "/orders/{code}/pay/", POST, fields={"number": "2", "payment_method": "x"}),
    Address("orders/<code:code>/action/", "/orders/{code}/action/", SAFE),
    Address("orders/<code:code>/return/", "/orders/{code}/return/", SAFE),
    Address("orders/<code:code>/refund/", "/orders/{code}/refund/", FORM, fields={"number": "1"}),
    Address("orders/<code:code>/again/", "/orders/{code}/again/", POST),
]
ACCOUNT = [
    Address("account/sign-up/", "/account/sign-up/", FORM, fields={"email": "no address"}),
    Address("account/sign-up/sent/", "/account/sign-up/sent/", READ),
    Address("account/sign-up/<token>/", "/account/sign-up/forged/", FORM, fields={"new_password1": "a"}),
    Address("account/log-in/", "/account/log-in/", DJANGO, fields={"username": "ann@example.com", "password": "x"}),
    Address("account/log-out/", "/account/log-out/", CHANGE),
    Address("account/verify/", "/account/verify/", POST),
    Address("account/verify/<token>/", "/account/verify/forged/", SAFE),
    Address("account/password/", "/account/password/", FORM, fields={"email": "no address"}),
    Address("account/password/sent/", "/account/password/sent/", READ),
    Address("account/password/<uidb64>/<token>/", "/account/password/MQ/forged/", ANY, fields={"new_password1": "a"}),
    Address("account/data/", "/account/data/", FORM, fields={"password": "x"}),
    Address("i18n/setlang/", "/i18n/setlang/", ANY, fields={"language": "ko", "next": "/"}),
]
# The probes are answered by a middleware: the resolver knows nothing of them.
OTHERS = [
    Address("payments/webhooks/stripe/", "/payments/webhooks/stripe/", POST, "webhook"),
    Address("metrics", "/metrics", ANY, "probe"),
    Address("", "/healthz", ANY, "probe"),
    Address("", "/readyz", ANY, "probe"),
]
OWN_ADMIN = {
    "": "",
    "login/": "login/",
    "logout/": "logout/",
    "password_change/": "password_change/",
    "password_change/done/": "password_change/done/",
    "autocomplete/": "autocomplete/",
    "jsi18n/": "jsi18n/",
    "r/<path:content_type_id>/<path:object_id>/": "r/1/1/",
    "^(?P<app_label>audit|catalog|events_out|payments|orders|privacy|accounts|auth)/$": "orders/",
    "(?P<url>.*)$": "nothing/",
    "audit/difference/<int:pk>/remedy/<slug:name>/": "audit/difference/1/remedy/adopt/",
    "orders/order/dashboard/": "orders/order/dashboard/",
    "orders/order/<int:pk>/refund/": "orders/order/{order}/refund/",
    "orders/order/<int:pk>/slip/": "orders/order/{order}/slip/",
    "catalog/stock/move/": "catalog/stock/move/",
    "catalog/stock/<int:pk>/receive/": "catalog/stock/{product}/receive/",
    "catalog/stock/<int:pk>/adjust/": "catalog/stock/{product}/adjust/",
    "payments/transfer/record/": "payments/transfer/record/",
    "payments/transferrefund/<int:pk>/send/": "payments/transferrefund/1/send/",
    "accounts/user/<id>/password/": "accounts/user/{user}/password/",
}
FORM_NAMES = {"login", "password_change", "refund", "move", "receive", "adjust", "record", "password"}
OF_A_MODEL = ("", "add/", *(f"<path:object_id>/{page}" for page in ("history/", "delete/", "change/", "")))


def list_admin() -> Iterator[Address]:
    """The admin's own pages, ours beside them, and six for each model that has any."""
    for pattern, path in OWN_ADMIN.items():
        yield Address(f"admin/{pattern}", f"/admin/{path}", ANY, "admin")
    for model in admin.site._registry:
        folder = f"admin/{model._meta.app_label}/{model._meta.model_name}/"
        for page in OF_A_MODEL:
            path = page.replace("<path:object_id>", f"{{{model._meta.model_name}}}")
            yield Address(f"{folder}{page}", f"/{folder}{path}", ANY, "admin")


def list_patterns(resolver: URLResolver | None = None, before: str = "") -> Iterator[str]:
    """All patterns of the shop, as one text each."""
    for pattern in (resolver or get_resolver()).url_patterns:
        if isinstance(pattern, URLResolver):
            yield from list_patterns(pattern, before + str(pattern.pattern))
        elif isinstance(pattern, URLPattern):
            yield before + str(pattern.pattern)


ADMIN = list(list_admin())
PAGES = [*SHOP, *ACCOUNT]
ALL = [*API, *PAGES, *OTHERS, *ADMIN]
OWN_PAGES = ADMIN[: len(OWN_ADMIN)]
OWN_FORMS = [address for address in OWN_PAGES if address.path.rstrip("/").rpartition("/")[2] in FORM_NAMES]
LISTS = [address for address in ADMIN if address.pattern.count("/") == 3]
