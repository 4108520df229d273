"""Finds the products that are for sale, and pages through them by name or price."""

from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, F, Func, OrderBy, OuterRef, Q, QuerySet, Value

from catalog.models import SORT_NAME, Category, Product, ProductQuerySet
from catalog.texts import fold, normalize

PAGE_SIZE = 24
MAX_QUERY = 100  # characters
LIKENESS = "0.4"  # of 1: within it are two letters that changed places, and one that is missing
# Counting further takes longer, for it reads each row. Pages have numbers up to here; beyond, each leads to the next.
MAX_COUNT = 10_000


@dataclass(frozen=True)
class Sort:
    """An order in which products are listed: by an expression that has an index, then by id."""

    key: F | Func
    is_descending: bool = False

    def reverse(self) -> "Sort":
        return replace(self, is_descending=not self.is_descending)

    def order(self) -> tuple[OrderBy, str]:
        return (self.key.desc(), "-pk") if self.is_descending else (self.key.asc(), "pk")

    def read_edge(self, pk: int) -> tuple[Any, int] | None:
        """The place of a product in this order, by its key and its id. None: one without a price has no place by it."""
        products = Product.objects.annotate(sort_key=self.key).filter(pk=pk, sort_key__isnull=False)
        return products.values_list("sort_key", "pk").first()

    def find_beyond(self, edge: tuple[Any, int], products: ProductQuerySet) -> ProductQuerySet:
        """Those of the products that come after that place in this order."""
        key, pk = edge
        than = "lt" if self.is_descending else "gt"
        later = Q(**{f"sort_key__{than}": key}) | Q(sort_key=key, **{f"pk__{than}": pk})
        # PostgreSQL uses the index for the plain range. It would not for the alternative alone.
        return products.alias(sort_key=self.key).filter(later, **{f"sort_key__{than}e": key})


BY_NAME = Sort(SORT_NAME)
SORTS = {"name": BY_NAME, "price": Sort(F("price")), "-price": Sort(F("price"), is_descending=True)}


@dataclass(frozen=True)
class Page:
    """A page of products.

    `before` and `after` are the ids from which read_page finds the pages beside this one; None: there is no such page.
    `number` is its place among the pages; None: it was found from a page beside it, so nobody has counted.
    """

    products: list[Product]
    before: int | None
    after: int | None
    number: int | None = None


def find_products(query: str = "", *, category: Category | None = None) -> ProductQuerySet:
    """Find the products for sale whose SKU or name contains every word of the query, in upper or lower case.

    Only the first MAX_QUERY characters of the query count, and no sign between words, such as &. With a category, only
    what belongs to it is found.
    """
    products = Product.objects.for_sale()
    if category:
        products = products.filter(category=category)
    for word in _read_words(query):
        products = products.filter(search_text__contains=fold(Value(word)))
    return products


def read_category(slug: str) -> Category:
    """The category of that slug, however it was typed. Raises Category.DoesNotExist."""
    return Category.objects.get(slug=normalize(slug).replace("\0", " "))


def find_categories() -> QuerySet[Category]:
    """The categories that have something for sale, by name."""
    return Category.objects.filter(Exists(Product.objects.for_sale().filter(category=OuterRef("pk"))))


def read_similar_products(query: str) -> list[Product]:
    """Read the first products for sale that have a word much like each word of the query: for what was mistyped.

    Nothing is like a word of fewer than four characters.
    """
    words = _read_words(query)
    if not words or min(len(word) for word in words) < 4:
        return []
    products = Product.objects.for_sale().for_a_list()
    for word in words:
        products = products.filter(search_text__trigram_word_similar=fold(Value(word)))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('pg_trgm.word_similarity_threshold', %s, true)", [LIKENESS])
        return list(products.order_by(*BY_NAME.order())[:PAGE_SIZE])


def _read_words(query: str) -> list[str]:
    words = normalize(query)[:MAX_QUERY].replace("\0", " ").split()
    return [word for word in words if any(character.isalnum() for character in word)] or words


def count_products(products: ProductQuerySet) -> int:
    """Count the products, but no further than to MAX_COUNT + 1."""
    return products.order_by()[: MAX_COUNT + 1].count()


def read_numbered_page(products: ProductQuerySet, number: int, *, count: int, sort: Sort = BY_NAME) -> Page:
    """Read the page with that number, or the last of those that `count` products fill."""
    number = max(1, min(number, count_pages(count)))
    start = (number - 1) * PAGE_SIZE
    # What is skipped is read from the index of the sort alone: neither its rows nor its stocks.
    ids = products.order_by(*sort.order()).values("pk")[start : start + PAGE_SIZE]
    rows = list(Product.objects.for_a_list().filter(pk__in=ids).order_by(*sort.order()))
    page = _make_page(rows, has_before=number > 1, has_after=count > start + PAGE_SIZE)
    return replace(page, number=number)


def count_pages(count: int) -> int:
    """How many pages so many products fill, none of them numbered beyond MAX_COUNT."""
    return max(1, ceil(min(count, MAX_COUNT) / PAGE_SIZE))


def read_page(
    products: ProductQuerySet, *, sort: Sort = BY_NAME, before: int | None = None, after: int | None = None
) -> Page:
    """Read the page before or after the product with that id, or the first page if there is no such product."""
    edge_id = before or after
    edge = sort.read_edge(edge_id) if edge_id else None
    if edge is None:
        rows, more = _read_rows(products, sort.order())
        return _make_page(rows, has_before=False, has_after=more)
    if after:
        rows, more = _read_rows(sort.find_beyond(edge, products), sort.order())
        return _make_page(rows, has_before=True, has_after=more)
    backwards = sort.reverse()
    rows, more = _read_rows(backwards.find_beyond(edge, products), backwards.order())
    if not more:  # this is the first page: show all of it
        return read_page(products, sort=sort)
    return _make_page(rows[::-1], has_before=True, has_after=True)


def _read_rows(products: ProductQuerySet, order: tuple[OrderBy, str]) -> tuple[list[Product], bool]:
    rows = list(products.for_a_list().order_by(*order)[: PAGE_SIZE + 1])
    return rows[:PAGE_SIZE], len(rows) > PAGE_SIZE


def _make_page(products: list[Product], *, has_before: bool, has_after: bool) -> Page:
    return Page(
        products,
        before=products[0].pk if products and has_before else None,
        after=products[-1].pk if products and has_after else None,
    )
