"""Stock, for clients with the scope `stock`: how many units there are, and a correction after a count."""

import hashlib
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from ninja import Router, Status

from api.clients import KNOWN, Client, Scope, check_scope
from api.documents import refuses
from api.fields import Key, SkuInPath, read_path_sku
from api.keys import answer_once
from api.problems import RequestRefused
from api.schemas import NewAdjustment, StockAnswer
from catalog.models import Stock
from catalog.services import adjust_stock

router = Router(auth=KNOWN, tags=["stock"])


# First, or its address would be that of a product whose SKU has a slash in it.
@router.post(
    "stock/{path:sku}/adjustments",
    response={HTTPStatus.CREATED: StockAnswer},
    **refuses(400, 401, 403, 404, 409, 413, 415, 422),
)
def create_adjustment(request: HttpRequest, sku: SkuInPath, asked: NewAdjustment, key: Key) -> HttpResponse:
    """Correct the stock. The same key again moves nothing, also when its answer is kept no more."""
    client = check_scope(request, Scope.STOCK)
    stock = _get_stock(sku)

    def adjust() -> Status[StockAnswer]:
        adjust_stock(
            reference=_name_movement(client, key),
            product_id=stock.pk,
            quantity=asked.quantity,
            reason=asked.reason,
            actor=client.user,
        )
        return Status(HTTPStatus.CREATED, _describe(_get_stock(sku)))

    return answer_once(request, key, adjust)


@router.get("stock/{path:sku}", response=StockAnswer, **refuses(401, 403, 404))
def show_stock(request: HttpRequest, sku: SkuInPath) -> StockAnswer:
    check_scope(request, Scope.STOCK)
    return _describe(_get_stock(sku))


def _name_movement(client: Client, key: str) -> str:
    """The ledger's reference has less room than a key, and two clients may use the same key."""
    return f"api-{hashlib.sha256(f'{client.name} {key}'.encode()).hexdigest()[:40]}"


def _get_stock(sku: str) -> Stock:
    stock = Stock.objects.select_related("product").filter(product__sku=read_path_sku(sku)).first()
    if stock is None:
        raise RequestRefused("not_found", "There is no stock of such a product.")
    return stock


def _describe(stock: Stock) -> StockAnswer:
    return StockAnswer(sku=stock.product.sku, on_hand=stock.on_hand, reserved=stock.reserved, available=stock.available)
