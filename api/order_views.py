"""Orders: a client places, reads and lists them, pays again after a decline, cancels, and refunds if it may."""

from collections.abc import Collection
from contextlib import nullcontext
from http import HTTPStatus
from typing import Annotated

from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router, Status

from api.answers import describe_listed, describe_order
from api.clients import ANYBODY, KNOWN, Client, Scope, check_scope, get_client, refuse_scope
from api.documents import refuses
from api.fields import CODE_PATTERN, Key, OptionalKey
from api.keys import answer_once
from api.problems import RequestRefused
from api.quotas import describe_sender, has_limits, tell_quotas
from api.schemas import NewOrder, NewPayment, NewRefund, OrderAnswer, OrderPage, ReturnedLine
from orders import services
from orders.admission import admit_checkout
from orders.checkout import Checkout, place_order
from orders.limits import limit_checkout, limit_payment
from orders.models import Order
from orders.paying import pay_again
from orders.pricing import CheckoutLine
from orders.querysets import OrderQuerySet
from orders.refunds import NoSuchLine, Returned, refund_order
from payments.gateway import get_gateway
from waiting_room.visitors import name_program

router = Router(auth=ANYBODY, exclude_unset=True, tags=["orders"])
Code = Annotated[str, Path(description="The order's code. Whoever knows it may ask for the order.")]
Cursor = Annotated[str, Query(pattern=f"^({CODE_PATTERN})?$", description="The `next` of the page before.")]
WantedStatus = Annotated[str, Query(pattern=f"^({'|'.join(Order.Status.values)})?$")]
PAGE_SIZE = 50
ONE_OR_NEW = {HTTPStatus.CREATED: OrderAnswer, HTTPStatus.OK: OrderAnswer}


@router.post("orders", response=ONE_OR_NEW, **refuses(400, 401, 409, 413, 415, 422, 429))
def create_order(request: HttpRequest, response: HttpResponse, asked: NewOrder, key: Key) -> Status[OrderAnswer]:
    """Place an order: 201. The same key again answers 200 with the first order.

    In a rush others wait: the key has a place in the queue, which each repeat keeps.
    """
    client = get_client(request)
    checkout = _make_checkout(asked, key, client)
    if has_limits(client):
        skus = [line.sku for line in checkout.lines]
        with (
            admit_checkout(skus, visitor=name_program(key), checkout_key=key),
            limit_checkout(checkout_key=key, **describe_sender(request)),
        ):
            order, created = place_order(checkout)
        tell_quotas(request, response)
    else:
        order, created = place_order(checkout, limited=False)
    pays_unasked = get_gateway(checkout.gateway).time_to_pay is not None
    return _answer(order, created, unsent=created and not pays_unasked)


@router.get("orders", auth=KNOWN, response=OrderPage, **refuses(400, 401, 403))
def list_orders(request: HttpRequest, after: Cursor = "", status: WantedStatus = "") -> OrderPage:
    """The orders of whoever has the session; with the scope `orders` those of all customers."""
    orders = _list_visible(get_client(request)).order_by("-pk")
    if status:
        orders = orders.filter(status=status)
    if after:
        orders = orders.filter(pk__lt=_read_cursor(after))
    rows = list(orders[: PAGE_SIZE + 1])
    listed = [describe_listed(order) for order in rows[:PAGE_SIZE]]
    return OrderPage(data=listed, next=listed[-1].code if len(rows) > PAGE_SIZE else None)


@router.get("orders/{order_code:code}", response=OrderAnswer, **refuses(401, 404))
def show_order(request: HttpRequest, code: Code) -> OrderAnswer:
    return describe_order(_get_order(code))


@router.post(
    "orders/{order_code:code}/payments", response=ONE_OR_NEW, **refuses(400, 401, 404, 409, 413, 415, 422, 429)
)
def create_payment(request: HttpRequest, code: Code, asked: NewPayment, key: OptionalKey = "") -> HttpResponse:
    """Give a held order its next payment: 201. The same number again answers 200 and changes nothing."""
    client = get_client(request)
    _get_order(code)  # 404 before anything is counted

    def pay() -> Status[OrderAnswer]:
        order, created = pay_again(
            code=code,
            number=asked.number,
            payment_method=asked.payment_method,
            gateway=asked.gateway or "",
            actor=client.user,
        )
        return _answer(order, created)

    limit = limit_payment(code=code, number=asked.number, **describe_sender(request))
    with limit if has_limits(client) else nullcontext():
        answer = answer_once(request, key, pay)
    tell_quotas(request, answer)
    return answer


@router.post("orders/{order_code:code}/cancel", response=OrderAnswer, **refuses(400, 401, 404, 409, 413, 422))
def cancel_order(request: HttpRequest, code: Code, key: OptionalKey = "") -> HttpResponse:
    """Cancel a pending order. It ends at once, or once the provider has said that no money can be taken any more."""
    _get_order(code)

    def cancel() -> Status[OrderAnswer]:
        services.cancel_order(code=code, reason=Order.CancelReason.CUSTOMER, actor=get_client(request).user)
        return _answer(_get_order(code))

    return answer_once(request, key, cancel, keeps=HTTPStatus.OK)


@router.post("orders/{order_code:code}/refunds", response=ONE_OR_NEW, **refuses(400, 401, 403, 404, 409, 413, 415, 422))
def create_refund(request: HttpRequest, code: Code, asked: NewRefund, key: OptionalKey = "") -> HttpResponse:
    """Refund an order: 201. The same number again answers 200 and changes nothing. Needs the scope `refunds`."""
    client = check_scope(request, Scope.REFUNDS)
    lines = _find_lines(_get_order(code), asked.lines)

    def refund() -> Status[OrderAnswer]:
        _refund, created = refund_order(
            code=code, number=asked.number, lines=lines, amount=asked.amount, note=asked.note, actor=client.user
        )
        return _answer(_get_order(code), created)

    return answer_once(request, key, refund)


def _list_visible(client: Client) -> OrderQuerySet:
    if Scope.ORDERS in client.scopes:
        return Order.objects.all()
    if client.user:
        return Order.objects.of_customer(client.user)
    raise refuse_scope(Scope.ORDERS)


def _read_cursor(code: str) -> int:
    last = Order.objects.filter(code=code).values_list("pk", flat=True).first()
    if last is None:
        raise RequestRefused("bad_field", "after: no page ended with this.")
    return last


def _make_checkout(asked: NewOrder, key: str, client: Client) -> Checkout:
    return Checkout(
        key=key,
        email=asked.email,
        lines=[CheckoutLine(line.sku, line.quantity) for line in asked.lines],
        payment_method=asked.payment_method,
        user=client.user,
        expected_total=asked.expected_total,
        expected_currency=asked.expected_currency,
        hold_on_decline=asked.hold_on_decline or 0,
        gateway=asked.gateway or "",
        metadata=asked.metadata,
    )


def _find_lines(order: Order, units: Collection[ReturnedLine]) -> list[Returned]:
    """The order's lines of which units come back. Raises NoSuchLine."""
    lines = {line.sku: line.pk for line in order.cached_lines}
    if unknown := [asked.sku for asked in units if asked.sku not in lines]:
        raise NoSuchLine(f"The order has no line of {', '.join(unknown)}.")
    return [Returned(lines[asked.sku], asked.quantity, asked.restock) for asked in units]


def _get_order(code: str) -> Order:
    order = Order.objects.select_related("payment").filter(code=code).first()
    if order is None:
        raise RequestRefused("not_found", "There is no such order.")
    return order


def _answer(order: Order, created: bool = False, *, unsent: bool = False) -> Status[OrderAnswer]:
    return Status(HTTPStatus.CREATED if created else HTTPStatus.OK, describe_order(order, unsent=unsent))
