"""Products for sale: all of them by name, those that a search finds, or one."""

from contextlib import suppress
from typing import Annotated, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from ninja import Query, Router

from api.clients import ANYBODY
from api.documents import refuses
from api.fields import SkuInPath, read_path_sku
from api.problems import RequestRefused
from api.schemas import ListedProduct, ProductAnswer, ProductPage
from catalog.category_models import MAX_CATEGORY
from catalog.models import Category, Product
from catalog.search import MAX_QUERY, find_products, read_category, read_page
from catalog.texts import read_sku

router = Router(auth=ANYBODY, tags=["products"])
Words = Annotated[str, Query(max_length=MAX_QUERY, description="Words of the name or of the SKU.")]
CategorySlug = Annotated[str, Query(max_length=MAX_CATEGORY, description="The slug of a category.")]
Cursor = Annotated[str, Query(description="The `next` of the page before.")]


@router.get("products", response=ProductPage, **refuses(400, 401))
def list_products(request: HttpRequest, q: Words = "", category: CategorySlug = "", after: Cursor = "") -> ProductPage:
    products = find_products(q, category=_find_category(category) if category else None)
    page = read_page(products.select_related("category"), after=_find_product(after).pk if after else None)
    listed = [ListedProduct(**_describe(product)) for product in page.products]
    return ProductPage(data=listed, next=listed[-1].sku if page.after else None)


@router.get("products/{path:sku}", response=ProductAnswer, **refuses(401, 404))
def show_product(request: HttpRequest, sku: SkuInPath) -> ProductAnswer:
    product = Product.objects.for_sale().with_stock().select_related("category").filter(sku=read_path_sku(sku)).first()
    if product is None:
        raise RequestRefused("not_found", "There is no such product for sale.")
    return ProductAnswer(**_describe(product), description=product.description)


def _describe(product: Product) -> dict[str, Any]:
    return {
        "sku": product.sku,
        "name": product.name,
        "price": product.price,
        "currency": product.currency,
        "available": product.stock.available,
        "max_quantity": product.max_per_order,
        "category": product.category.slug if product.category else None,
        "url": f"{settings.SHOP_URL}{product.get_absolute_url()}",
    }


def _find_category(slug: str) -> Category:
    with suppress(Category.DoesNotExist):
        return read_category(slug)
    raise RequestRefused("bad_field", "category: there is no such category.")


def _find_product(cursor: str) -> Product:
    with suppress(ValidationError, Product.DoesNotExist):
        return Product.objects.only("pk").get(sku=read_sku(cursor))
    raise RequestRefused("bad_field", "after: no page ended with this.")
