"""Orders as CSV for a spreadsheet: written while they are read, so that a million take no more memory than one."""

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone

from money import DECIMALS
from orders.models import Order

COLUMNS = {
    "code": "code",
    "status": "status",
    "cancel_reason": "cancel_reason",
    "email": "email",
    "currency": "currency",
    "total": "total",
    "payment": "payment__status",
    "provider_id": "payment__provider_id",
    "created_at": "created_at",
    "finalized_at": "finalized_at",
}
BATCH = 2_000  # rows read at once, and sent at once
# What makes a spreadsheet take a cell for a formula: https://owasp.org/www-community/attacks/CSV_Injection
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def export_orders(orders: QuerySet[Order]) -> StreamingHttpResponse:
    """The orders in the order in which they were placed; totals in units of their currency, times in UTC.

    A format for programs: its columns and statuses are the same in every language.
    """
    answer = StreamingHttpResponse(_write_batches(orders), content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="orders-{timezone.now():%Y%m%d-%H%M%S}.csv"'
    return answer


def quote_cell(text: str) -> str:
    """The text, never a formula: with an apostrophe before a first character that would make it one."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _write_batches(orders: QuerySet[Order]) -> Iterator[str]:
    lines = _write_lines(orders.order_by("pk").values_list(*COLUMNS.values()).iterator(chunk_size=BATCH))
    batch: list[str] = []
    for line in lines:
        batch.append(line)
        if len(batch) == BATCH:
            yield "".join(batch)
            batch = []
    yield "".join(batch)


def _write_lines(rows: Iterable[tuple[object, ...]]) -> Iterator[str]:
    write = csv.writer(_Echo()).writerow
    yield str(write(COLUMNS))
    for row in rows:
        cells = dict(zip(COLUMNS, row, strict=True))
        cells["total"] = format_amount(int(str(cells["total"])), str(cells["currency"]))
        yield str(write([quote_cell(_write_cell(cell)) for cell in cells.values()]))


def _write_cell(cell: object) -> str:
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ", timespec="seconds")
    return "" if cell is None else str(cell)


def format_amount(amount: int, currency: str) -> str:
    """Minor units as a plain number: 123456 of GBP is 1234.56."""
    return str(Decimal(amount).scaleb(-DECIMALS.get(currency, 2)))
