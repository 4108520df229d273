"""Finds the products that are for sale, and pages through them by name: the last page is as fast as the first."""

from dataclasses import dataclass

from django.db.models import Q, Value

from catalog.models import Product, ProductQuerySet
from catalog.texts import fold, normalize

PAGE_SIZE = 24
MAX_QUERY = 100  # characters
MAX_COUNT = 1_000  # counting further takes longer: it reads each row


@dataclass(frozen=True)
class Page:
    """A page of products.

    `before` and `after` are the ids from which read_page finds the pages beside this one; None: there is no such page.
    """

    products: list[Product]
    before: int | None
    after: int | None


def find_products(query: str = "") -> ProductQuerySet:
    """Find the products for sale whose SKU or name contains every word of the query, in upper or lower case.

    Only the first MAX_QUERY characters of the query count.
    """
    products = Product.objects.for_sale()
    for word in normalize(query)[:MAX_QUERY].replace("\0", " ").split():
        products = products.filter(search_text__contains=fold(Value(word)))
    return products


def count_products(products: ProductQuerySet) -> int:
    """Count the products, but no further than to MAX_COUNT + 1."""
    return products.order_by()[: MAX_COUNT + 1].count()


def read_page(products: ProductQuerySet, *, before: int | None = None, after: int | None = None) -> Page:
    """Read the page before or after the product with that id, or the first page if there is no such product."""
    edge_id = before or after
    edge = Product.objects.only("name").filter(pk=edge_id).first() if edge_id else None
    if edge is None:
        rows, more = _read_rows(products, "name", "pk")
        return _make_page(rows, has_before=False, has_after=more)
    if after:
        beyond = Q(name__gt=edge.name) | Q(name=edge.name, pk__gt=edge.pk)
        # PostgreSQL uses the index on the name for the plain range. It would not for the alternative alone.
        rows, more = _read_rows(products.filter(beyond, name__gte=edge.name), "name", "pk")
        return _make_page(rows, has_before=True, has_after=more)
    beyond = Q(name__lt=edge.name) | Q(name=edge.name, pk__lt=edge.pk)
    rows, more = _read_rows(products.filter(beyond, name__lte=edge.name), "-name", "-pk")
    if not more:  # this is the first page: show all of it
        return read_page(products)
    return _make_page(rows[::-1], has_before=True, has_after=True)


def _read_rows(products: ProductQuerySet, *order: str) -> tuple[list[Product], bool]:
    rows = list(products.with_stock().defer("description").order_by(*order)[: PAGE_SIZE + 1])
    return rows[:PAGE_SIZE], len(rows) > PAGE_SIZE


def _make_page(products: list[Product], *, has_before: bool, has_after: bool) -> Page:
    return Page(
        products,
        before=products[0].pk if products and has_before else None,
        after=products[-1].pk if products and has_after else None,
    )
