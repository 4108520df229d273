"""Reads a catalogue from CSV: the products of the good rows, and what is wrong with the bad ones."""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.utils.text import slugify
from django.utils.translation import gettext as _

from catalog.category_models import MAX_CATEGORY, make_slug
from catalog.models import Category, Product
from catalog.text_file import find_delimiter, trim_row
from catalog.texts import MAX_SKU, normalize, validate_name, validate_sku
from money import format_money, to_minor_units
from money.currencies import LARGEST_AMOUNT, get_step, is_currency

REQUIRED = ("sku", "name")
PRICE_COLUMNS = {"price": "", "modal_unit_price_gbp": "GBP"}  # with the currency that the column's name says, if any
MAX_NAME = 200
# True: a comma may be the decimal sign, since it does not separate the columns. It is one only before one or two
# digits: before three it might separate the thousands.
NUMBERS = {
    False: re.compile(r"-?\d+(\.\d+)?", re.ASCII),
    True: re.compile(r"-?\d+(\.\d+|,\d{1,2})?", re.ASCII),
}


class CatalogUnreadable(Exception):
    """The file is no catalogue: it is empty, or a column is missing."""


class _BadField(Exception):
    """A field of the row is wrong, so the row can't be loaded."""


@dataclass(frozen=True)
class BadRow:
    line: int
    reason: str


@dataclass(kw_only=True)
class Catalog:
    """The content of a file: products and their categories, not saved. A product without a price is not active."""

    columns: list[str] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    bad_rows: list[BadRow] = field(default_factory=list)


def read_catalog(lines: Iterable[str], *, currency: str) -> Catalog:
    """Read every row. A good row becomes a product; a bad one is listed in `bad_rows`, with its line number.

    The first line tells the delimiter: a comma, a semicolon or a tab. With a semicolon or a tab, 5,00 is a price.
    `currency` applies to the rows that don't name one. Raises CatalogUnreadable.
    """
    catalog = Catalog()
    delimiter, lines = find_delimiter(lines)
    rows = read_rows(lines, catalog.bad_rows, delimiter=delimiter)
    header = _read_header(rows, catalog)
    price_column = _check_header(header, currency)
    catalog.columns = header
    first_lines: dict[str, int] = {}
    for line, cells in rows:
        try:
            named = _name_cells(header, cells)
            product = _read_product(named, price_column, currency, decimal_comma=delimiter != ",")
            if product.sku in first_lines:
                raise _BadField(f"SKU {product.sku} is on line {first_lines[product.sku]} already")
        except _BadField as error:
            catalog.bad_rows.append(BadRow(line, str(error)))
        else:
            first_lines[product.sku] = line
            catalog.products.append(product)
    return catalog


def read_rows(lines: Iterable[str], bad_rows: list[BadRow], *, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the number of its first line. Rows without any text are left out."""
    reader = csv.reader(lines, strict=True, delimiter=delimiter)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            bad_rows.append(BadRow(line, _("not CSV: %(error)s") % {"error": error}))
        else:
            if any(cell.strip() for cell in cells):
                yield line, cells


def _read_header(rows: Iterator[tuple[int, list[str]]], catalog: Catalog) -> list[str]:
    _, cells = next(rows, (0, []))
    if catalog.bad_rows:
        raise CatalogUnreadable(catalog.bad_rows[0].reason)
    return [name.strip().lower() for name in trim_row(cells, columns=0)]


def _check_header(header: list[str], currency: str) -> str:
    if not header:
        raise CatalogUnreadable("empty")
    prices = [name for name in PRICE_COLUMNS if name in header]
    if missing := [name for name in REQUIRED if name not in header] + ([] if prices else [" or ".join(PRICE_COLUMNS)]):
        raise CatalogUnreadable(f"no column {', '.join(missing)}")
    if len(set(header)) < len(header):
        raise CatalogUnreadable("a column stands twice in the first line")
    if PRICE_COLUMNS[prices[0]] not in ("", currency):
        raise CatalogUnreadable(f"{prices[0]} is not in {currency}")
    return prices[0]


def _name_cells(header: list[str], cells: list[str]) -> dict[str, str]:
    cells = trim_row(cells, columns=len(header))
    if len(cells) != len(header):
        raise _BadField(f"{len(cells)} columns, not {len(header)}")
    if any("\0" in cell for cell in cells):
        raise _BadField("a NUL character")
    return {name: normalize(cell.strip()) for name, cell in zip(header, cells, strict=True)}


def _read_product(row: dict[str, str], price_column: str, default_currency: str, *, decimal_comma: bool) -> Product:
    sku = _read_text(row["sku"], "SKU", MAX_SKU, validate_sku)
    name = _read_text(row["name"] or sku, "name", MAX_NAME, validate_name)
    currency = row.get("currency") or default_currency
    if not is_currency(currency):
        raise _BadField(f"currency {currency!r} is not an ISO 4217 code")
    price = read_price(row[price_column], currency, decimal_comma=decimal_comma) if row[price_column] else None
    return Product(
        sku=sku,
        name=name,
        slug=slugify(name)[:MAX_NAME],
        description=row.get("description", ""),
        category=_read_category(row.get("category", "")),
        price=price,
        currency=currency,
        active=price is not None,
    )


def _read_category(text: str) -> Category | None:
    """The category of that name, not saved."""
    if not text:
        return None
    name = _read_text(text, "category", MAX_CATEGORY, validate_name)
    if not make_slug(name):
        raise _BadField(f"category {name!a} has neither letters nor digits")
    return Category(name=name, slug=make_slug(name))


def _read_text(text: str, what: str, longest: int, validate: Callable[[str], None]) -> str:
    if not text:
        raise _BadField(f"no {what}")
    if len(text) > longest:
        raise _BadField(f"{what} is longer than {longest} characters")
    try:
        validate(text)
    except ValidationError as error:
        raise _BadField(f"{what} {text!a}: {error.message}") from error
    return text


def read_price(text: str, currency: str, *, decimal_comma: bool) -> int:
    """Read a price into minor units: 255 for 2.55 GBP, 2550 for 2.55 KWD."""
    if not NUMBERS[decimal_comma].fullmatch(text):
        raise _BadField(f"price {text!r} is not a number")
    price = to_minor_units(Decimal(text.replace(",", ".")), currency)
    if price <= 0:
        raise _BadField(f"price {text} is not positive")
    if price > LARGEST_AMOUNT:
        raise _BadField(f"price {text} is more than can be charged")
    if price != price.to_integral_value():
        raise _BadField(f"price {text} is finer than a minor unit of {currency}")
    if price % get_step(currency):
        raise _BadField(
            f"price {text} can't be charged: {currency} goes in steps of {format_money(get_step(currency), currency)}"
        )
    return int(price)
