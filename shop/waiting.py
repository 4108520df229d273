"""The page of a waiting room, in place of a page behind it. Nothing is read from the database for it."""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from functools import wraps
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orders.admission import (
    CHECKOUT,
    NotLetIn,
    TurnTaken,
    WaitingRoomClosed,
    admit_checkout,
    find_checkout_rooms,
    find_place,
)
from rate_limit import count_minutes
from shop.cart import Cart
from waiting_room import Place
from waiting_room.visitors import View, find_visitor, remember_visitor, replace_visitor


def behind_waiting_room(name_rooms: Callable[..., Collection[str]]) -> Callable[[View], View]:
    """Make a view whose page is seen by those who are let in to all rooms that are named from its request."""

    def decorate(view: View) -> View:
        @remember_visitor
        @wraps(view)
        def answer(request: HttpRequest, **kwargs: str) -> HttpResponse:
            return wait_outside(request, name_rooms(request, **kwargs)) or view(request, **kwargs)

        return answer

    return decorate


def wait_outside(request: HttpRequest, rooms: Collection[str]) -> HttpResponse | None:
    """The page of the first room that the visitor is not let in to; None: come in.

    Its status is 429, so that neither a cache nor a search engine takes it for the page that was asked for.
    """
    for room in rooms:
        try:
            place = find_place(room, visitor=find_visitor(request))
        except WaitingRoomClosed as closed:
            return _answer(request, room, {}, HTTPStatus.SERVICE_UNAVAILABLE, closed.retry_after)
        if not place.is_let_in:
            context = describe_place(room, place, reloads=_is_read(request))
            return _answer(request, room, context, HTTPStatus.TOO_MANY_REQUESTS, place.ask_again)
    return None


def wait_again(request: HttpRequest, refused: NotLetIn) -> HttpResponse:
    """Lead whose checkout was not let in back to it, where they wait: like a new visitor if another took the turn."""
    if isinstance(refused, TurnTaken):
        replace_visitor(request)
    return HttpResponseRedirect(reverse("checkout"), status=HTTPStatus.SEE_OTHER)


def admit_visitor(request: HttpRequest, cart: Cart) -> AbstractContextManager[None]:
    """Place the order of the cart inside: see `admit_checkout`. Raises NotLetIn."""
    visitor = find_visitor(request) if find_checkout_rooms(cart.skus) else ""
    return admit_checkout(cart.skus, visitor=visitor, checkout_key=cart.key)


def describe_place(room: str, place: Place, *, reloads: bool) -> dict[str, object]:
    """What the page says of the visitor's place, at first and with each answer to its script."""
    return {"room": room, "place": place, "wait": _tell_wait(place.wait), "reloads": reloads}


def find_way_on(room: str) -> str:
    """Where a visitor goes who is let in."""
    return reverse("checkout") if room == CHECKOUT else reverse("product", args=["-", room])


def _answer(
    request: HttpRequest, room: str, context: dict[str, object], status: HTTPStatus, again: int
) -> HttpResponse:
    """A form that htmx has sent is answered with the way to the page: the reader sees why nothing was added."""
    url = request.get_full_path() if _is_read(request) else find_way_on(room)
    if request.headers.get("HX-Request"):
        return HttpResponse(status=HTTPStatus.NO_CONTENT, headers={"HX-Redirect": url})
    page = render_to_string("shop/waiting.html", {**context, "url": url, "again": again})
    response = HttpResponse(page, status=status, headers={"Retry-After": str(again), "Cache-Control": "no-store"})
    response._has_been_logged = True  # type: ignore[attr-defined]  # or Django logs each of thousands
    return response


def _is_read(request: HttpRequest) -> bool:
    """Whether the page behind the room has the address of this request."""
    return request.method in ("GET", "HEAD")


def _tell_wait(seconds: int) -> str:
    if not seconds:
        return ""
    if seconds < 60:
        return _("less than a minute")
    minutes = count_minutes(seconds)
    return ngettext("about %(count)d minute", "about %(count)d minutes", minutes) % {"count": minutes}
