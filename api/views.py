"""The JSON API: a client places an order, asks how it stands, pays again after a decline, and refunds if it may."""

from collections.abc import Collection

from django.http import HttpRequest, JsonResponse

from api.answers import answer_order, api_view
from api.reading import (
    BadRequest,
    ReturnedUnits,
    check_may_refund,
    is_trusted,
    read_body,
    read_key,
    read_payment,
    read_refund,
)
from orders.admission import admit_checkout
from orders.checkout import Checkout, place_order
from orders.limits import limit_checkout, limit_payment
from orders.models import Order
from orders.paying import pay_again
from orders.refunds import NoSuchLine, Returned, refund_order
from payments.gateway import get_gateway
from waiting_room.visitors import name_program


@api_view("POST")
def create_order(request: HttpRequest) -> JsonResponse:
    """Place an order: 201. The same key again answers 200 with the first order. A trusted client is not limited.

    In a rush others wait: the key has a place in the queue, which each repeat keeps.
    """
    checkout = Checkout(key=read_key(request), **read_body(request))
    if is_trusted(request):
        order, created = place_order(checkout, limited=False)
    else:
        skus = [line.sku for line in checkout.lines]
        with (
            admit_checkout(skus, visitor=name_program(checkout.key), checkout_key=checkout.key),
            limit_checkout(checkout_key=checkout.key, ip=request.META["REMOTE_ADDR"]),
        ):
            order, created = place_order(checkout)
    pays_unasked = get_gateway(checkout.gateway).time_to_pay is not None
    return answer_order(order, status=201 if created else 200, instructs=pays_unasked)


@api_view("GET")
def show_order(request: HttpRequest, *, code: str) -> JsonResponse:
    return answer_order(_get_order(code), instructs=True)


@api_view("POST")
def create_payment(request: HttpRequest, *, code: str) -> JsonResponse:
    """Give a held order its next payment: 201. The same number again answers 200 and changes nothing."""
    asked = read_payment(request)
    _get_order(code)  # 404 before anything is counted
    if is_trusted(request):
        order, created = pay_again(code=code, **asked)
    else:
        with limit_payment(code=code, number=asked["number"], ip=request.META["REMOTE_ADDR"]):
            order, created = pay_again(code=code, **asked)
    return answer_order(order, status=201 if created else 200, instructs=True)


@api_view("POST")
def create_refund(request: HttpRequest, *, code: str) -> JsonResponse:
    """Refund an order: 201. The same number again answers 200 and changes nothing. Only clients that may refund."""
    check_may_refund(request)
    asked, order = read_refund(request), _get_order(code)
    returned = _find_lines(order, asked.pop("lines"))
    _refund, created = refund_order(code=code, lines=returned, **asked)
    return answer_order(_get_order(code), status=201 if created else 200)


def _find_lines(order: Order, units: Collection[ReturnedUnits]) -> list[Returned]:
    """The order's lines of which units come back. Raises NoSuchLine."""
    lines = {line.sku: line.pk for line in order.cached_lines}
    if unknown := [asked.sku for asked in units if asked.sku not in lines]:
        raise NoSuchLine(f"The order has no line of {', '.join(unknown)}.")
    return [Returned(lines[sku], quantity, restock) for sku, quantity, restock in units]


def _get_order(code: str) -> Order:
    order = Order.objects.select_related("payment").filter(code=code).first()
    if order is None:
        raise BadRequest("not_found", "There is no such order.", status=404)
    return order


@api_view()
def refuse_unknown_url(request: HttpRequest) -> JsonResponse:
    raise BadRequest("not_found", "There is no such address.", status=404)
