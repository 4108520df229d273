"""Loads a catalogue: manage.py load_catalog FILE.csv --stock N"""

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from catalog.catalog_file import Catalog, CatalogUnreadable, read_catalog
from catalog.loading import Loaded, load_products
from catalog.text_file import TextUnreadable, read_text
from command_line import end_at_passing_errors
from money.currencies import is_currency

MAX_STOCK = 1_000_000_000


def read_stock(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= MAX_STOCK):
        raise ArgumentTypeError(f"{text!r} is not a number of units from 0 to {MAX_STOCK:,}")
    return int(text)


def read_currency(text: str) -> str:
    if not is_currency(text):
        raise ArgumentTypeError(f"{text!r} is not an ISO 4217 code")
    return text


class Command(BaseCommand):
    help = (
        "Insert or update products from a CSV file with the columns sku, name, price (or modal_unit_price_gbp), and "
        "optionally description, category and currency: UTF-8, or UTF-16 with a byte order mark, its columns "
        "separated by commas, semicolons or tabs. Bad rows are reported and left out. May be run again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE.csv")
        parser.add_argument(
            "--stock", type=read_stock, default=0, metavar="N", help="units each product is given, once"
        )
        parser.add_argument("--currency", type=read_currency, default=settings.SHOP_CURRENCY)
        parser.add_argument("--strict", action="store_true", help="load nothing if any row is bad")

    def handle(self, *, file: Path, stock: int, currency: str, strict: bool, **_: Any) -> None:
        catalog = self.read_file(file, currency)
        for row in catalog.bad_rows:
            self.stderr.write(f"{file}:{row.line}: {row.reason}")
        if not catalog.products or (strict and catalog.bad_rows):
            raise CommandError(f"{file}: nothing loaded; bad rows: {len(catalog.bad_rows)}")
        with end_at_passing_errors(f"{file}: nothing loaded, run it again"):
            loaded = self.load(catalog, stock)
        self.stdout.write(
            f"{loaded.new} products new, {loaded.updated} updated ({loaded.not_for_sale} of them without a price), "
            f"{loaded.stocked} given {stock} units; bad rows: {len(catalog.bad_rows)}"
        )

    def load(self, catalog: Catalog, stock: int) -> Loaded:
        with tqdm(total=2 * len(catalog.products), desc="Loading", unit=" rows", disable=None) as bar:
            return load_products(
                catalog.products,
                stock=stock,
                columns=catalog.columns,
                on_progress=bar.update,
            )

    def read_file(self, file: Path, currency: str) -> Catalog:
        try:
            with file.open("rb") as content:
                return read_catalog(read_text(content), currency=currency)
        except TextUnreadable as error:
            raise CommandError(f"{file}:{error.line}: {error}; nothing loaded") from error
        except (OSError, CatalogUnreadable) as error:
            raise CommandError(f"{file}: {error}") from error
