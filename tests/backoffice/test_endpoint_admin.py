"""Staff say who is told of events, read what became of it, and have it delivered again."""

import re
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts.models import User
from events_out.event_types import TYPES
from events_out.feed import move_horizon
from events_out.models import Delivery, Endpoint
from events_out.planning import plan_deliveries
from events_out.tasks import sweep_events
from tests.builders import everything, make_endpoint, make_order

pytestmark = pytest.mark.django_db
ENDPOINTS, DELIVERIES = "/admin/events_out/endpoint/", "/admin/events_out/delivery/"
GIVEN = {"name": "Warehouse", "url": "https://example.com/hook", "types": ["order.confirmed", "order.refunded"]}


def make_delivery(endpoint: Endpoint, **state: object) -> Delivery:
    make_order()
    move_horizon()
    plan_deliveries()
    delivery = Delivery.objects.filter(endpoint=endpoint).latest("pk")
    Delivery.objects.filter(pk=delivery.pk).update(**state)
    return delivery


def act(client: Client, url: str, action: str, *rows: Endpoint | Delivery) -> str:
    selected = [str(row.pk) for row in rows]
    return client.post(url, {"action": action, "_selected_action": selected}, follow=True).text


def test_the_secret_of_a_new_endpoint_is_shown_once(admin_client: Client) -> None:
    answer = admin_client.post(f"{ENDPOINTS}add/", GIVEN)

    endpoint = Endpoint.objects.get()
    assert (endpoint.url, endpoint.types, endpoint.is_on) == (GIVEN["url"], GIVEN["types"], True)
    assert endpoint.secret in answer.text
    assert "no-store" in answer["Cache-Control"]
    assert "messages" not in answer.cookies  # or the browser would keep it
    for url in (ENDPOINTS, f"{ENDPOINTS}{endpoint.pk}/change/"):
        assert "whsec_" not in admin_client.get(url).text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "https://127.0.0.1/hook"),
        ("url", "https://169.254.169.254/latest"),
        ("url", "https://ann:secret@example.com/"),
        ("url", "http://example.com/"),
        ("types", []),
        ("types", ["order.nothing"]),
        ("name", ""),
    ],
)
def test_an_endpoint_that_may_not_be_is_refused(
    admin_client: Client, settings: LazySettings, field: str, value: object
) -> None:
    settings.WEBHOOK_NETWORKS, settings.LOCAL = [], False
    before = everything()
    page = admin_client.post(f"{ENDPOINTS}add/", {**GIVEN, field: value}, secure=True)

    assert page.status_code == 200
    assert "errorlist" in page.text
    assert everything() == before


def test_an_endpoint_is_changed_switched_off_and_on_and_never_deleted(admin_client: Client) -> None:
    endpoint = make_endpoint()
    page = f"{ENDPOINTS}{endpoint.pk}/change/"

    admin_client.post(page, {**GIVEN, "url": "https://example.com/new"})
    changed = Endpoint.objects.get()
    assert (changed.url, changed.types, changed.is_on) == ("https://example.com/new", GIVEN["types"], False)
    assert (changed.secret, changed.planned_through) == (endpoint.secret, endpoint.planned_through)
    admin_client.post(page, {**GIVEN, "is_on": "on"})
    assert Endpoint.objects.get().is_on
    assert admin_client.post(f"{ENDPOINTS}{endpoint.pk}/delete/", {"post": "yes"}).status_code == 403


def test_a_secret_is_rotated_and_shown_and_the_old_one_holds_for_a_day(admin_client: Client) -> None:
    endpoint, other = make_endpoint(), make_endpoint(name="Other")

    page = act(admin_client, ENDPOINTS, "rotate", endpoint)

    rotated = Endpoint.objects.get(pk=endpoint.pk)
    assert rotated.old_secret == endpoint.secret != rotated.secret
    assert rotated.old_secret_until
    assert re.findall(r"whsec_[\w+/=]+", page) == [rotated.secret]
    assert Endpoint.objects.get(pk=other.pk).secret == other.secret
    assert LogEntry.objects.get().change_message == "New secret."


def test_a_test_is_put_on_its_way(admin_client: Client) -> None:
    endpoint = make_endpoint()

    assert "A test for Warehouse is on its way" in act(admin_client, ENDPOINTS, "test", endpoint)

    assert Delivery.objects.waiting().get().event is None
    assert "endpoint.test" in admin_client.get(DELIVERIES).text


def test_deliveries_are_found_by_order_and_state_and_link_to_their_order(admin_client: Client) -> None:
    endpoint = make_endpoint()
    waiting = make_delivery(endpoint)
    given_up = make_delivery(endpoint, deliver_after=None, last_error="It answered <b>500</b>.")

    assert waiting.order
    code = waiting.order.code
    shown = admin_client.get(DELIVERIES, {"q": code}).context["cl"].result_list
    assert list(shown) == [waiting]
    for state, delivery in (("waiting", waiting), ("given_up", given_up)):
        assert list(admin_client.get(DELIVERIES, {"state": state}).context["cl"].result_list) == [delivery]
    assert f"/admin/orders/order/{waiting.order_id}/change/" in admin_client.get(DELIVERIES).text
    assert "&lt;b&gt;500" in admin_client.get(f"{DELIVERIES}{given_up.pk}/change/").text


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[str] = []
    monkeypatch.setattr(sweep_events, "delay", lambda: calls.append("sweep"))
    return calls


def test_chosen_deliveries_are_delivered_again(admin_client: Client, woken: list[str]) -> None:
    endpoint = make_endpoint()
    chosen = make_delivery(endpoint, deliver_after=None, tries=10)
    other = make_delivery(endpoint, deliver_after=None, tries=10)

    assert "1 event is delivered again." in act(admin_client, DELIVERIES, "replay", chosen)

    assert (list(Delivery.objects.waiting()), list(Delivery.objects.given_up())) == ([chosen], [other])
    assert Delivery.objects.get(pk=chosen.pk).tries == 0
    assert woken == ["sweep"]


def test_a_replay_is_swept_later_while_the_broker_is_down(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OperationalError

    monkeypatch.setattr(sweep_events, "delay", fail)
    delivery = make_delivery(make_endpoint(), deliver_after=None)

    assert "The task queue is down" in act(admin_client, DELIVERIES, "replay", delivery)
    assert Delivery.objects.waiting().get() == delivery


def test_whoever_may_only_look_replays_nothing(client: Client, woken: list[str]) -> None:
    staff = User.objects.create_user("staff@example.com", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_delivery"))
    client.force_login(staff)
    delivery = make_delivery(make_endpoint(), deliver_after=None)
    before = everything()

    act(client, DELIVERIES, "replay", delivery)

    assert everything() == before
    assert woken == []


def test_every_type_can_be_chosen(admin_client: Client) -> None:
    page = admin_client.get(f"{ENDPOINTS}add/").text
    assert all(f'value="{name}"' in page for name in TYPES)


def test_the_page_of_a_delivery_shows_each_try_to_whoever_sees_the_delivery(client: Client) -> None:
    delivery = make_delivery(make_endpoint())
    at = timezone.now()
    delivery.log.create(tried_at=at, ended_at=at + timedelta(seconds=1.5), answer_status=503, error="It answered 503.")
    staff = User.objects.create_user("support@example.com", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_delivery"))
    client.force_login(staff)

    page = client.get(f"{DELIVERIES}{delivery.pk}/change/").text

    assert "It answered 503." in page
    assert "1.50" in page
