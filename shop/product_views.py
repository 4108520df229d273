"""The list of products with its search, and each product's page."""

from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from catalog.models import Category, Product
from catalog.search import MAX_QUERY, SORTS, read_category
from catalog.texts import normalize, read_sku
from orders.admission import find_product_rooms
from shop.product_pages import Choice, Place, show_products
from shop.waiting import behind_waiting_room


@require_safe
def list_products(request: HttpRequest) -> HttpResponse:
    query = normalize(request.GET.get("q", ""))[:MAX_QUERY].strip()
    place = Place(_read_number(request, "page") or 1, _read_number(request, "before"), _read_number(request, "after"))
    choice = Choice(query, _find_category(request), _read_sort(request))
    context = {"query": query, "category": choice.category, "products": show_products(choice, place)}
    return render(request, "shop/product_list.html", context)


@require_safe
@behind_waiting_room(lambda _request, *, sku, **_: find_product_rooms([sku]))
def show_product(request: HttpRequest, *, slug: str, sku: str) -> HttpResponse:
    try:
        known = read_sku(sku)
    except ValidationError as error:
        raise Http404 from error
    product = Product.objects.for_sale().with_stock().select_related("picture", "category").filter(sku=known).first()
    if product is None:
        raise Http404
    if (slug, sku) != (product.slug or "-", product.sku):
        return redirect(product, permanent=True)
    return render(request, "shop/product_detail.html", {"product": product})


def _find_category(request: HttpRequest) -> Category | None:
    slug = request.GET.get("category", "")
    try:
        return read_category(slug) if slug else None
    except Category.DoesNotExist as error:
        raise Http404 from error


def _read_sort(request: HttpRequest) -> str:
    sort = request.GET.get("sort", "")
    return sort if sort in SORTS else "name"


def _read_number(request: HttpRequest, name: str) -> int | None:
    value = request.GET.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else None
