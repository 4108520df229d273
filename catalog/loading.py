"""Loads the products of a catalogue in bulk, and gives each product its first stock once."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from django.db import transaction

from catalog.models import Category, Product, Stock, StockMovement
from catalog.services import receive_stock

REFERENCE = "load_catalog"  # of the movements of the first stock, which happen once
BATCH = 2_000
OPTIONAL = ("description", "category")  # columns: what a file without them keeps as it is

T = TypeVar("T")


@dataclass(kw_only=True)
class Loaded:
    new: int = 0
    updated: int = 0
    not_for_sale: int = 0
    stocked: int = 0


def load_products(
    products: Sequence[Product],
    *,
    stock: int,
    columns: Collection[str] = (),
    on_progress: Callable[[int], object] = lambda count: None,
) -> Loaded:
    """Insert the products, or update those with the same SKU, and give each `stock` units, all in one transaction.

    A repeat gives no units to a product that had them. A product that staff made inactive stays inactive. A product
    without a price is made inactive, and active again when it has a price. An existing product keeps its slug, and so
    its URL. Its description and its category are changed only if `columns`, those of the file, have them; a category
    that is new is made. `on_progress` is called with the number of products saved, and again with the number stocked.
    """
    loaded = Loaded(not_for_sale=sum(not product.active for product in products))
    # In the order of SKUs, so that two loads at once wait for each other and don't deadlock.
    ordered = sorted(products, key=lambda product: product.sku)
    with transaction.atomic():
        _save_categories(ordered)
        for batch in _batches(ordered):
            loaded.updated += _save_products(batch, [name for name in OPTIONAL if name in columns])
            on_progress(len(batch))
        loaded.new = len(ordered) - loaded.updated
        for ids in _batches(sorted(product.pk for product in ordered)):
            loaded.stocked += _give_stock(ids, units=stock)
            on_progress(len(ids))
    return loaded


def _save_categories(products: Sequence[Product]) -> None:
    """Give the products the saved categories that have the slugs of theirs; make those that are missing."""
    named = {product.category.slug: product.category for product in products if product.category}
    Category.objects.bulk_create([named[slug] for slug in sorted(named)], ignore_conflicts=True)
    # Locked until the commit, so that nobody deletes one meanwhile.
    saved = Category.objects.select_for_update(no_key=True).order_by("pk")
    known = {category.slug: category for category in saved.filter(slug__in=named)}
    for product in products:
        if product.category:
            product.category = known[product.category.slug]


def _save_products(batch: Sequence[Product], optional: Sequence[str]) -> int:
    known = Product.objects.filter(sku__in=[product.sku for product in batch]).order_by("sku")
    # Locked until the commit. Staff who make a product inactive meanwhile wait, and are not overruled.
    before = {product.sku: product for product in known.select_for_update(no_key=True)}
    for product in batch:
        old = before.get(product.sku)
        if old and old.price is not None:
            product.active = product.active and old.active
    Product.objects.bulk_create(
        batch,
        update_conflicts=True,
        unique_fields=["sku"],
        update_fields=["name", "price", "currency", "active", *optional],
    )
    return len(before)


def _give_stock(product_ids: Sequence[int], *, units: int) -> int:
    stocked = Stock.objects.filter(pk__in=product_ids).values_list("pk", flat=True)
    unstocked = sorted(set(product_ids) - set(stocked))
    Stock.objects.bulk_create([Stock(product_id=product_id) for product_id in unstocked], ignore_conflicts=True)
    if not units:
        return 0
    received = StockMovement.objects.filter(
        stock__in=product_ids, reference=REFERENCE, kind=StockMovement.Kind.RECEIVED
    ).values_list("stock", flat=True)
    # Products that had their units are left out: receive_stock would lock their stock and write nothing.
    missing = sorted(set(product_ids) - set(received))
    return receive_stock(reference=REFERENCE, quantities=dict.fromkeys(missing, units))


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
