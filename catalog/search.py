"""Finds products that are for sale, and pages through them by name: as fast at the end as at the beginning."""

from dataclasses import dataclass

from django.db.models import Q, QuerySet, Value

from catalog.models import Product
from catalog.texts import fold, normalize

PAGE_SIZE = 24
MAX_QUERY = 100  # characters
MAX_COUNT = 1_000  # a count reads every row it counts


@dataclass(frozen=True)
class Page:
    """Some products, and where the pages beside it begin: `before` and `after` are the ids of products, or None."""

    products: list[Product]
    before: int | None
    after: int | None


def find_products(query: str = "") -> QuerySet[Product]:
    """Active products that have every word of the query in their SKU or name, in upper or lower case.

    Of a query that is longer than MAX_QUERY the rest is left out.
    """
    products = Product.objects.filter(active=True, stock__isnull=False)
    for word in normalize(query)[:MAX_QUERY].replace("\0", " ").split():
        products = products.filter(search_text__contains=fold(Value(word)))
    return products


def count_products(products: QuerySet[Product]) -> int:
    """How many there are; more than MAX_COUNT are counted as MAX_COUNT + 1."""
    return products.order_by()[: MAX_COUNT + 1].count()


def read_page(products: QuerySet[Product], *, before: int | None = None, after: int | None = None) -> Page:
    """The page of products before or after the product with that id; the first page where there is none."""
    edge_id = before or after
    edge = Product.objects.only("name").filter(pk=edge_id).first() if edge_id else None
    if edge is None:
        rows, more = _read_rows(products, "name", "pk")
        return _make_page(rows, has_before=False, has_after=more)
    if after:
        beyond = Q(name__gt=edge.name) | Q(name=edge.name, pk__gt=edge.pk)
        # The range is what the index begins with; the alternative alone would not use it.
        rows, more = _read_rows(products.filter(beyond, name__gte=edge.name), "name", "pk")
        return _make_page(rows, has_before=True, has_after=more)
    beyond = Q(name__lt=edge.name) | Q(name=edge.name, pk__lt=edge.pk)
    rows, more = _read_rows(products.filter(beyond, name__lte=edge.name), "-name", "-pk")
    if not more:  # the beginning: a whole page of it
        return read_page(products)
    return _make_page(rows[::-1], has_before=True, has_after=True)


def _read_rows(products: QuerySet[Product], *order: str) -> tuple[list[Product], bool]:
    rows = list(products.select_related("stock").defer("description").order_by(*order)[: PAGE_SIZE + 1])
    return rows[:PAGE_SIZE], len(rows) > PAGE_SIZE


def _make_page(products: list[Product], *, has_before: bool, has_after: bool) -> Page:
    return Page(
        products,
        before=products[0].pk if products and has_before else None,
        after=products[-1].pk if products and has_after else None,
    )
