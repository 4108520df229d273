"""Whoever is not the provider tells the shop nothing: forged, old, changed and repeated events leave nothing."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client

from payments.webhook_models import WebhookEvent
from tests.abuse.hostile import CONTENT_TYPES, NOT_JSON, TEXTS
from tests.abuse.world import make_world
from tests.rows import everything_written
from tests.webhooks import PATH, make_event, sign

pytestmark = pytest.mark.django_db
SECRET = "whsec_of_the_shop"
EVENT = make_event("261124-GH0ST-GH0ST")
NO_TEXT: list[Any] = [None, 1, [], {}]
FORGED: dict[str, Callable[[], str]] = {
    "none": str,
    "another secret": lambda: sign(EVENT, "whsec_of_eve"),
    "the empty secret": lambda: sign(EVENT, ""),
    "an old one": lambda: sign(EVENT, SECRET, age=301),
    "of another body": lambda: sign(EVENT + b" ", SECRET),
    "its time made new": lambda: sign(EVENT, SECRET, age=400).replace(
        f"t={int(time.time() - 400)}", f"t={int(time.time())}"
    ),
    "without a time": lambda: sign(EVENT, SECRET).partition(",")[2],
    "another scheme": lambda: sign(EVENT, SECRET).replace("v1=", "v0="),
    "no number": lambda: "t=now,v1=" + "0" * 64,
    "text": lambda: "\xff\0 = , t=,v1=",
    "a long one": lambda: "v1=0," * 5_000,
}


@pytest.fixture(autouse=True)
def _secret(settings: LazySettings) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = [SECRET]


def post(body: bytes, signature: str, content_type: str = "application/json") -> int:
    client = Client(raise_request_exception=False)
    return client.generic("POST", PATH, body, content_type, headers={"Stripe-Signature": signature}).status_code


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_what_is_not_signed_just_now_by_the_provider_is_refused(forge: Callable[[], str]) -> None:
    make_world()
    before = everything_written()

    assert post(EVENT, forge()) == 400

    assert everything_written() == before


def test_a_replayed_event_is_taken_once() -> None:
    signature = sign(EVENT, SECRET)

    assert [post(EVENT, signature) for _ in range(3)] == [200, 200, 200]

    assert WebhookEvent.objects.count() == 1


def about(reference: str) -> dict[str, Any]:
    return {"metadata": {"reference": reference}}


def test_what_is_signed_and_makes_no_sense_is_no_error() -> None:
    """The provider's secret may leak, and the provider may err."""
    odd: list[Any] = [{"id": text, "type": text, "data": {"object": about(text)}} for text in TEXTS]
    odd += [{"id": "evt_1", "type": kind, "data": {"object": kind}} for kind in NO_TEXT]
    before = everything_written()
    for body in [*NOT_JSON, *(json.dumps(event).encode() for event in odd)]:
        status = post(body, sign(body, SECRET))
        assert status in {200, 400}, body[:80]
    after = everything_written()
    assert {name for name, rows in after.items() if rows != before[name]} <= {"payments.WebhookEvent"}


@pytest.mark.parametrize("content_type", CONTENT_TYPES, ids=range(len(CONTENT_TYPES)))
def test_no_content_type_is_an_error(content_type: str) -> None:
    assert post(EVENT, "", content_type) == 400

    assert not WebhookEvent.objects.exists()


def test_a_body_of_two_megabytes_is_refused_unread() -> None:
    body = b" " * 2_000_000 + EVENT

    assert post(body, sign(body, SECRET)) == 413

    assert not WebhookEvent.objects.exists()
