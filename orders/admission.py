"""Who may check out now: in a rush, visitors wait until the shop can take their orders."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import structlog
from django.conf import settings
from django.db import Error
from redis.exceptions import RedisError

from catalog.models import Stock
from catalog.texts import normalize
from database_errors import describe, is_passing
from orders.models import Order
from orders.pace import measure_pace
from orders.pricing import CheckoutRefused
from waiting_room import NoWaitingRoom, Place, ask, claim_turn, count_crowds, set_pace, use_turn_up

logger = structlog.stdlib.get_logger(__name__)

CHECKOUT = "checkout"  # the room of all products
VISITORS_PER_UNIT = 2  # not everybody who is let in buys
CLOSED_FOR = 30  # seconds after which a visitor asks again whether anybody is let in


class NotLetIn(CheckoutRefused):
    """The visitor waits in a waiting room. The place is kept for those who ask again in time."""

    code = "waiting_room"


class TurnTaken(NotLetIn):
    """Somebody else has the visitor's token, and was quicker: a turn is good for one checkout."""


class SoldOutMeanwhile(NotLetIn):
    """Nobody waits any more: there is nothing left."""

    code = "insufficient_stock"


class WaitingRoomClosed(NotLetIn):
    """Redis does not answer, and the shop is set to let nobody in without it."""


def find_product_rooms(skus: Collection[str]) -> list[str]:
    """The waiting rooms in front of these products, however their SKUs are written. Most have none."""
    known = [normalize(sku.strip()) for sku in skus]
    return [sku for sku in known if settings.WAITING_ROOM == "products" and sku in settings.WAITING_ROOM_SKUS]


def find_checkout_rooms(skus: Collection[str]) -> list[str]:
    """The waiting rooms in front of a checkout of these products: that of all checkouts, or those of the products."""
    return [CHECKOUT] if settings.WAITING_ROOM == "checkout" else find_product_rooms(skus)


def list_rooms() -> list[str]:
    """All rooms that the shop has."""
    return find_checkout_rooms(settings.WAITING_ROOM_SKUS)


def find_place(room: str, *, visitor: str, is_page: bool = True) -> Place:
    """Let the visitor in, or say how long it takes: see `waiting_room.ask`. About once a second this measures the pace.

    While Redis is away everybody is let in, or WaitingRoomClosed is raised: see WAITING_ROOM_WITHOUT_REDIS.
    """
    try:
        place = ask(room, visitor=visitor, is_page=is_page)
        if place.measures:
            _measure(room)
            place = ask(room, visitor=visitor, is_page=is_page)
    except (RedisError, NoWaitingRoom) as error:
        _answer_without_redis(error)
        return Place(is_let_in=True)
    return place


@contextmanager
def admit_checkout(skus: Collection[str], *, visitor: str, checkout_key: str) -> Iterator[None]:
    """Place the order inside. It uses up the visitor's turn. If it is refused, the same key may try again.

    Raises NotLetIn, while the visitor waits for a turn or has none any more. A key whose order is placed is never
    refused.
    """
    rooms = find_checkout_rooms(skus)
    try:
        for room in rooms:
            _take_turn(room, visitor, checkout_key)
    except NotLetIn:
        if not Order.objects.filter(checkout_key=checkout_key).exists():
            raise
    yield
    try:
        for room in rooms:
            use_turn_up(room, visitor=visitor, checkout_key=checkout_key)
    except (RedisError, NoWaitingRoom) as error:
        logger.warning("a turn is not used up", reason=str(error))


def _take_turn(room: str, visitor: str, checkout_key: str) -> None:
    place = find_place(room, visitor=visitor, is_page=False)
    if place.is_sold_out:
        raise SoldOutMeanwhile("There is nothing left.", retry_after=place.ask_again)
    if not place.is_let_in:
        detail = f"Many want to buy just now. You are number {place.number} in the queue: ask again with the same key."
        raise NotLetIn(detail, retry_after=place.ask_again)
    try:
        if not claim_turn(room, visitor=visitor, checkout_key=checkout_key):
            raise TurnTaken("This turn is another checkout's.", retry_after=place.ask_again)
    except (RedisError, NoWaitingRoom) as error:
        _answer_without_redis(error)


def _measure(room: str) -> None:
    """While the database does not answer nobody is let in."""
    try:
        busy = sum(crowd.waiting > 0 for crowd in count_crowds(list_rooms()).values())
        pace, useful = measure_pace() / max(busy, 1), _count_useful(room)
    except Error as error:
        if not is_passing(error):
            raise
        logger.warning("nobody is let in now", reason=describe(error))
        pace, useful = 0.0, None
    set_pace(room, pace=pace, useful=useful)


def _count_useful(room: str) -> int | None:
    """How many visitors may be inside so that most of them find a unit. 0: all is sold out; None: nobody knows."""
    stock = None if room == CHECKOUT else Stock.objects.filter(product__sku=room).first()
    return None if stock is None else VISITORS_PER_UNIT * max(stock.available, 0)


def _answer_without_redis(error: Exception) -> None:
    """Raises WaitingRoomClosed, unless everybody is let in."""
    if settings.WAITING_ROOM_WITHOUT_REDIS == "closed":
        logger.error("the waiting room lets nobody in", reason=str(error))
        raise WaitingRoomClosed("The shop can't let anybody in just now.", retry_after=CLOSED_FOR) from error
    logger.warning("the waiting room lets everybody in", reason=str(error))
