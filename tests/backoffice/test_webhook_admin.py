import pytest
from django.conf import LazySettings
from django.db.models.functions import Now
from django.test import Client
from kombu.exceptions import OperationalError
from pytest_django import DjangoAssertNumQueries

from payments.stripe_webhooks import read_event
from payments.tasks import sweep_webhook_events
from payments.webhook_models import WebhookEvent
from payments.webhooks import receive_event
from tests.backoffice.staff import log_in_staff
from tests.webhooks import make_event, sign

pytestmark = pytest.mark.django_db
LIST = "/admin/payments/webhookevent/"


@pytest.fixture(autouse=True)
def _secret(settings: LazySettings) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec"]


def make_stored(reference: str = "nobody", **state: object) -> WebhookEvent:
    body = make_event(reference)
    receive_event(read_event(body, sign(body, "whsec")))
    event = WebhookEvent.objects.latest("pk")
    WebhookEvent.objects.filter(pk=event.pk).update(**state)
    event.refresh_from_db()
    return event


def shown(client: Client, **query: str) -> list[WebhookEvent]:
    return list(client.get(LIST, query).context["cl"].result_list)


def test_events_are_found_by_reference_id_and_state(admin_client: Client) -> None:
    waiting, other = make_stored("a"), make_stored("b", process_after=None, processed_at=Now())
    given_up = make_stored("c", process_after=None)

    assert shown(admin_client) == [given_up, other, waiting]
    assert shown(admin_client, q="a") == [waiting]
    assert shown(admin_client, q=other.event_id) == [other]
    for state, event in (("waiting", waiting), ("processed", other), ("given_up", given_up)):
        assert shown(admin_client, state=state) == [event]
    assert len(shown(admin_client, state="nonsense")) == 3


def test_an_event_is_shown_as_it_came_and_nothing_of_it_can_be_changed(admin_client: Client) -> None:
    event = make_stored("<b>ann</b>")
    before = list(WebhookEvent.objects.values())
    page = f"{LIST}{event.pk}/"

    text = admin_client.get(f"{page}change/").text
    assert event.event_id in text
    assert "&lt;b&gt;ann&lt;/b&gt;" in text
    assert "<b>ann" not in text
    assert admin_client.post(f"{page}change/", {"reference": "x"}).status_code == 403
    assert admin_client.post(f"{page}delete/", {"post": "yes"}).status_code == 403
    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert list(WebhookEvent.objects.values()) == before


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[str] = []
    monkeypatch.setattr(sweep_webhook_events, "delay", lambda: calls.append("sweep"))
    return calls


def test_chosen_events_are_processed_again(woken: list[str]) -> None:
    chosen, other = make_stored(tries=10, process_after=None), make_stored(process_after=None, processed_at=Now())
    member = log_in_staff("view_webhookevent", "replay_webhookevent")

    answer = member.post(LIST, {"action": "replay", "_selected_action": str(chosen.pk)}, follow=True)

    assert "1 event is processed again." in answer.text
    assert woken == ["sweep"]
    assert list(WebhookEvent.objects.waiting()) == [chosen]
    chosen.refresh_from_db()
    other.refresh_from_db()
    assert (chosen.tries, bool(other.processed_at)) == (0, True)


def test_who_may_only_read_events_replays_none(woken: list[str]) -> None:
    event = make_stored(process_after=None)
    member = log_in_staff("view_webhookevent")

    answer = member.post(LIST, {"action": "replay", "_selected_action": str(event.pk)}, follow=True)

    assert "Process selected events again" not in answer.text
    assert woken == []
    assert list(WebhookEvent.objects.given_up()) == [event]


def test_while_the_queue_is_down_staff_are_told_so(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    event = make_stored(process_after=None)

    def fail() -> None:
        raise OperationalError("Connection refused")

    monkeypatch.setattr(sweep_webhook_events, "delay", fail)

    answer = admin_client.post(LIST, {"action": "replay", "_selected_action": str(event.pk)}, follow=True)

    assert "The task queue is down" in answer.text
    assert list(WebhookEvent.objects.waiting()) == [event]


@pytest.mark.parametrize("events", [5, 50])
def test_the_list_needs_as_many_queries_for_5_events_as_for_50(
    admin_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries, events: int
) -> None:
    for _ in range(events):
        make_stored()

    with django_assert_max_num_queries(6):
        assert len(shown(admin_client)) == events
