"""The JSON API: a client places an order and asks how it stands."""

from django.http import HttpRequest, JsonResponse

from api.answers import answer_order, api_view
from api.reading import BadRequest, is_trusted, read_body, read_key
from orders.checkout import Checkout, place_order
from orders.limits import limit_checkout
from orders.models import Order


@api_view("POST")
def create_order(request: HttpRequest) -> JsonResponse:
    """Place an order: 201. The same key again answers 200 with the first order. A trusted client is not limited."""
    checkout = Checkout(key=read_key(request), **read_body(request))
    if is_trusted(request):
        order, created = place_order(checkout, limited=False)
    else:
        with limit_checkout(checkout_key=checkout.key, ip=request.META["REMOTE_ADDR"]):
            order, created = place_order(checkout)
    return answer_order(order, status=201 if created else 200)


@api_view("GET")
def show_order(request: HttpRequest, *, code: str) -> JsonResponse:
    order = Order.objects.filter(code=code).first()
    if order is None:
        raise BadRequest("not_found", "There is no such order.", status=404)
    return answer_order(order)


@api_view()
def refuse_unknown_url(request: HttpRequest) -> JsonResponse:
    raise BadRequest("not_found", "There is no such address.", status=404)
