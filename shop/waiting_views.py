"""What the script of a waiting room's page asks: whether the visitor is let in by now."""

from http import HTTPStatus

from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from orders.admission import WaitingRoomClosed, find_place, list_rooms
from shop.waiting import describe_place, find_way_on
from waiting_room.visitors import find_visitor, remember_visitor


@never_cache
@require_safe
@remember_visitor
def show_place(request: HttpRequest) -> HttpResponse:
    """Answer with the visitor's place, or lead in. While the room is closed the page stays as it is."""
    room, reloads = request.GET.get("room", ""), "reload" in request.GET
    if room not in list_rooms():
        raise Http404
    try:
        place = find_place(room, visitor=find_visitor(request), is_page=False)
    except WaitingRoomClosed:
        return HttpResponse(status=HTTPStatus.SERVICE_UNAVAILABLE)
    if place.is_let_in:
        headers = {"HX-Refresh": "true"} if reloads else {"HX-Redirect": find_way_on(room)}
        return HttpResponse(status=HTTPStatus.NO_CONTENT, headers=headers)
    return HttpResponse(render_to_string("shop/_waiting.html", describe_place(room, place, reloads=reloads)))
