"""What staff do with endpoints: begin, change and test them, and replace their secrets."""

from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from events_out.addresses import check_url
from events_out.delivery_models import Delivery, DeliveryQuerySet, EndpointMail
from events_out.feed import move_horizon
from events_out.models import Endpoint, make_secret

OVERLAP = timedelta(hours=24)  # for which the secret before still signs


def create_endpoint(*, name: str, url: str, types: Sequence[str]) -> Endpoint:
    """An endpoint that is told of these types of events from now on. Raises AddressRefused."""
    check_url(url)
    return Endpoint.objects.create(name=name, url=url, types=list(types), planned_through=move_horizon())


def change_endpoint(*, pk: int, name: str, url: str, types: Sequence[str], is_on: bool) -> None:
    """Change all of it or nothing. Once it is on again, it is told of all that it missed. Raises AddressRefused."""
    check_url(url)
    with transaction.atomic():
        Endpoint.objects.filter(pk=pk).update(name=name, url=url, types=list(types))
        (switch_on if is_on else switch_off)(pk=pk)


def rotate_secret(*, pk: int) -> Endpoint:
    """Give the endpoint a new secret. For OVERLAP the one before signs too; of two rotations within it, the last."""
    rotated = {"secret": make_secret(), "old_secret": F("secret"), "old_secret_until": Now() + OVERLAP}
    Endpoint.objects.filter(pk=pk).update(**rotated)
    return Endpoint.objects.get(pk=pk)


def switch_on(*, pk: int) -> None:
    """Tell the endpoint of all that it missed, and of what comes. Does nothing if it is on."""
    off = Endpoint.objects.filter(pk=pk, is_on=False)
    off.update(is_on=True, failures=0, failing_since=None, resting_until=None)


def switch_off(*, pk: int, reason: str = "") -> None:
    """Deliver nothing to it any more; where there is a reason, staff are mailed. Does nothing if it is off."""
    with transaction.atomic():
        if Endpoint.objects.on().filter(pk=pk).update(is_on=False) and reason:
            EndpointMail.objects.create(endpoint_id=pk, reason=reason)


def send_test(*, pk: int) -> Delivery:
    """Have the endpoint told of a test, which is delivered as any event is. If it rests after a failure, that ends."""
    test = Delivery.objects.create(endpoint_id=pk)
    Endpoint.objects.filter(pk=pk).update(resting_until=None)
    return test


def replay_deliveries(deliveries: DeliveryQuerySet) -> int:
    """Deliver these again, as if they were new, with the ids that they had. Return how many they are.

    Endpoints of theirs that rest after a failure rest no more.
    """
    endpoints = list(deliveries.order_by().values_list("endpoint", flat=True).distinct())
    count = deliveries.update(tries=0, deliver_after=Now(), delivered_at=None)
    Endpoint.objects.filter(pk__in=endpoints).update(resting_until=None)
    return count
