"""Puts the bench's products on sale: in our shop by the command that loads any catalogue, so that its ledger agrees."""

from collections.abc import Sequence
from pathlib import Path

from lab.bench.beside import stock_baseline
from lab.bench.rounds import HOT, name_many
from lab.bench.shops import Shop
from lab.stack.processes import ProcessFailed
from lab.stack.stack import Stack
from money import to_decimal

PLENTY = 100_000_000  # units
RUSH_UNITS = 100


def stock_shops(stack: Stack, baselines: Sequence[Shop], *, rushes: int) -> None:
    """Give each shop the same products: more of most than can be sold, and one for each rush that sells out."""
    rush = [f"rush-{number}" for number in range(rushes)]
    for skus, units in (([*name_many(), HOT], PLENTY), (rush, RUSH_UNITS)):
        stock_orderly(stack, skus, units)
        for shop in baselines:
            stock_baseline(shop, skus, [price_of(sku) for sku in skus], units)


def stock_orderly(stack: Stack, skus: Sequence[str], units: int) -> None:
    """Add the products with so many units of each. Raises ProcessFailed."""
    file = write_catalog(stack.folder / "bench.csv", skus)
    loaded = stack.manage("load_catalog", str(file), "--stock", str(units))
    if loaded.returncode:
        raise ProcessFailed(loaded.stderr)


def write_catalog(path: Path, skus: Sequence[str]) -> Path:
    rows = [f"{sku},Product {sku},{to_decimal(price_of(sku), 'GBP')}" for sku in skus]
    path.write_text("\n".join(["sku,name,price", *rows]) + "\n")
    return path


def price_of(sku: str) -> int:
    """In minor units; any price will do that differs from the next one's."""
    return 100 + 5 * int(sku.rpartition("-")[2])
