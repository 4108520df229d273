"""Stock, for clients with the scope `stock`: how many units there are, and a correction after a count."""

import hashlib
from http import HTTPStatus

from django.http import HttpRequest
from ninja import Router, Status

from api.clients import KNOWN, Client, Scope, check_scope
from api.documents import refuses
from api.fields import Key, SkuInPath, read_path_sku
from api.problems import BadRequest
from api.schemas import NewAdjustment, StockAnswer
from catalog.models import Stock, StockMovement
from catalog.services import adjust_stock

router = Router(auth=KNOWN, tags=["stock"])


# First, or its address would be that of a product whose SKU has a slash in it.
@router.post(
    "stock/{path:sku}/adjustments",
    response={HTTPStatus.CREATED: StockAnswer},
    **refuses(400, 401, 403, 404, 409, 413, 415, 422),
)
def create_adjustment(request: HttpRequest, sku: SkuInPath, asked: NewAdjustment, key: Key) -> Status[StockAnswer]:
    """Correct the stock. The same key again moves nothing, and answers with the stock as it is by then."""
    client = check_scope(request, Scope.STOCK)
    stock, reference = _get_stock(sku), _name_movement(client, key)
    adjust_stock(
        reference=reference, product_id=stock.pk, quantity=asked.quantity, reason=asked.reason, actor=client.user
    )
    _check_same(stock.movements.get(reference=reference, kind=StockMovement.Kind.ADJUSTED), asked)
    return Status(HTTPStatus.CREATED, _describe(_get_stock(sku)))


@router.get("stock/{path:sku}", response=StockAnswer, **refuses(401, 403, 404))
def show_stock(request: HttpRequest, sku: SkuInPath) -> StockAnswer:
    check_scope(request, Scope.STOCK)
    return _describe(_get_stock(sku))


def _name_movement(client: Client, key: str) -> str:
    """The ledger's reference has less room than a key, and two clients may use the same key."""
    return f"api-{hashlib.sha256(f'{client.name} {key}'.encode()).hexdigest()[:40]}"


def _check_same(movement: StockMovement, asked: NewAdjustment) -> None:
    """Raises BadRequest if the key moved something else: then nothing was moved now, for a repeat moves nothing."""
    if (movement.quantity, movement.reason) != (asked.quantity, asked.reason):
        raise BadRequest("idempotency_key_reused", "Another adjustment was made under this key.")


def _get_stock(sku: str) -> Stock:
    stock = Stock.objects.select_related("product").filter(product__sku=read_path_sku(sku)).first()
    if stock is None:
        raise BadRequest("not_found", "There is no stock of such a product.")
    return stock


def _describe(stock: Stock) -> StockAnswer:
    return StockAnswer(sku=stock.product.sku, on_hand=stock.on_hand, reserved=stock.reserved, available=stock.available)
