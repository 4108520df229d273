"""Whatever is sent to whatever address: no error of ours, and no row changed."""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.abuse.addresses import (
    ADMIN,
    ALL,
    ANY,
    API,
    CALLS,
    LISTS,
    OTHERS,
    OWN_FORMS,
    OWN_PAGES,
    PAGES,
    Address,
    list_patterns,
)
from tests.abuse.hostile import (
    CONTENT_TYPES,
    HEADERS,
    NOT_JSON,
    PATHS,
    QUERIES,
    TEXTS,
    change_fields,
    write,
)
from tests.abuse.world import World, make_world
from tests.rows import everything_written

pytestmark = pytest.mark.django_db
FORM = "application/x-www-form-urlencoded"
REFUSED = {400, 401, 403, 404, 405, 409, 413, 415, 422}


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture(autouse=True)
def _nothing_changes(world: World) -> Iterator[None]:
    before = everything_written()
    yield
    after = everything_written()
    assert {label: rows for label, rows in after.items() if rows != before[label]} == {}


def assert_none_failed(answers: Sequence[tuple[object, Any]]) -> None:
    assert answers
    assert [(sent, answer.status_code) for sent, answer in answers if answer.status_code >= 500] == []


def test_every_address_is_in_the_table() -> None:
    known = {address.pattern for address in ALL}

    assert {pattern for pattern in list_patterns() if pattern not in known} == set()


def test_the_table_leads_to_pages(world: World) -> None:
    """Control: what follows would hold of a table of addresses that nobody serves."""
    staff = world.log_in(world.staff)
    for address in [*API, *PAGES, *OWN_PAGES, *LISTS]:
        if "GET" in address.methods and "nothing" not in address.path:
            assert world.send(staff, address).status_code in {200, 302, 303, 304, 403, 404, 405}, address
    for address in (*API[:2], *PAGES[1:4]):
        assert world.send(staff, address).status_code == 200, address


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_no_query_is_an_error(world: World, query: str) -> None:
    staff, guest = world.log_in(world.staff), world.log_in(None)

    answers = [(address, world.send(staff, address, suffix=query)) for address in LISTS]
    answers += [(address, world.send(guest, address, suffix=query)) for address in [*API, *PAGES, *OTHERS]]

    assert_none_failed(answers)
    assert not any("evil" in answer.cookies for _, answer in answers)


@pytest.mark.parametrize("headers", HEADERS, ids="-".join)
def test_no_header_is_an_error(world: World, headers: dict[str, str]) -> None:
    guest = world.log_in(None)
    for address in [*API, *PAGES, *OTHERS, *OWN_PAGES[:2]]:
        answers = [(address, world.send(guest, address, method, headers=headers)) for method in ("GET", "POST")]
        assert_none_failed(answers)
        assert not any(b"evil.example" in answer.content for _, answer in answers)


def test_no_path_is_an_error(world: World) -> None:
    staff = world.log_in(world.staff)
    assert_none_failed([(path, staff.generic(method, path)) for path in PATHS for method in ("GET", "POST")])


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "POST", "GET", "EVIL"])
def test_a_method_that_does_not_fit_is_refused(world: World, method: str) -> None:
    guest = world.log_in(None)
    served = [address for address in [*API, *PAGES, *OTHERS] if address.methods not in ((), ANY)]
    sent = [address for address in served if method not in address.methods]
    answers = [(address, world.send(guest, address, method)) for address in sent]

    assert_none_failed(answers)
    allowed = [(address, answer.status_code) for address, answer in answers if answer.status_code != 405]
    # Whoever is not logged in is sent to log in first.
    assert [each for each in allowed if each[1] not in (302, 404)] == []
    staff = world.log_in(world.staff)
    assert_none_failed([(address, world.send(staff, address, method)) for address in OWN_FORMS])


@pytest.mark.parametrize("address", CALLS, ids=str)
def test_no_field_of_the_api_may_be_anything(world: World, address: Address) -> None:
    client = world.log_in(None)
    for name, body in change_fields(address.fields, free=address.free):
        answer = world.send(client, address, "POST", write(body))
        assert answer.status_code in REFUSED, (name, str(body)[:200], answer.status_code)
        assert answer["Content-Type"] == "application/problem+json"
    for key in ("", "x" * 256, "caf\xe9", "a\0b", "a\r\nb"):
        answer = world.send(client, address, "POST", write(address.fields), headers={"Idempotency-Key": key})
        assert answer.status_code in REFUSED


@pytest.mark.parametrize("address", CALLS, ids=str)
def test_no_body_of_the_api_may_be_anything(world: World, address: Address) -> None:
    client, right = world.log_in(None), write(address.fields)
    bodies = [
        *NOT_JSON,
        right[:-1] + b', "number": 1, "number": 2}',
        right.replace(b"1", b"NaN"),
        right.replace(b"1", b"-Infinity"),
    ]
    for body in bodies:
        assert world.send(client, address, "POST", body).status_code in REFUSED
    for content_type in CONTENT_TYPES:
        answer = world.send(client, address, "POST", right, content_type=content_type)
        assert answer.status_code in REFUSED
    long = world.send(client, address, "POST", b" " * 1_000_000 + right)
    assert (long.status_code, long.json()["error"]) == (413, "body_too_large")


@pytest.mark.parametrize("address", [address for address in PAGES if address.changes], ids=str)
def test_no_field_of_a_form_may_be_anything(world: World, address: Address) -> None:
    has_user = address.fields and "log-in" not in address.path
    client, names = world.log_in(world.eve if has_user else None), [*address.fields, "is_staff"]
    texts = [*TEXTS, "-1", "99999999999999999999", "1.5", "NaN", "\u0663"]
    forms = [dict.fromkeys(names, text) for text in texts]
    forms += [{**address.fields, name: text} for name in names for text in texts[-4:]]
    for form in forms:
        body = urlencode(form, errors="surrogatepass")
        assert world.send(client, address, "POST", body, content_type=FORM).status_code < 500, str(form)[:80]


@pytest.mark.parametrize("address", [*[address for address in PAGES if address.changes], *OWN_FORMS], ids=str)
def test_no_body_of_a_page_may_be_anything(world: World, address: Address) -> None:
    client = world.log_in(None) if address in PAGES else world.log_in(world.staff)
    bodies = [b"\xff\0=%ff&%00", b"--x\r\n\xff", b"a=1&" * 1_100, b"a=" + b"x" * 3_000_000]
    sent = [(content_type, b"\xff\0=%ff&%00") for content_type in CONTENT_TYPES] + [(FORM, body) for body in bodies]
    answers = [(kind[:40], world.send(client, address, "POST", body, content_type=kind)) for kind, body in sent]
    assert_none_failed(answers)


def test_staff_without_permissions_see_and_change_nothing(world: World) -> None:
    world.eve.is_staff = True
    world.eve.save()
    eve = world.log_in(world.eve)
    open_to_staff = {"/admin/", "/admin/logout/", "/admin/login/", "/admin/jsi18n/"}
    for address in ADMIN:
        for method in ("GET", "POST"):
            answer = world.send(eve, address, method, b"is_staff=on&name=x&_save=1&post=yes", content_type=FORM)
            assert answer.status_code < 500, address
            if address.path not in open_to_staff and "password_change" not in address.path:
                assert answer.status_code in {302, 403, 404}, address
    world.eve.is_staff = False
    world.eve.save()


def test_hostile_text_comes_back_as_text(world: World) -> None:
    evil = urlencode(dict.fromkeys(("q", "next", "after", "status"), '<script>alert(1)</script>{{ 7|add:"35" }}'))
    staff = world.log_in(world.staff)
    for address in [*PAGES, *LISTS]:
        answer = world.send(staff, address, suffix=f"?{evil}")
        assert b"<script>alert(1)" not in answer.content, address
