"""Orders as CSV for a spreadsheet: written while they are read, so that a million take no more memory than one."""

import csv
import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone

from money import to_decimal
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
# The delimiter is the reader's, not ours: with another one a cell begins in the middle of ours, and quotes are read
# otherwise. Spaces and marks without a width may be dropped; full-width signs are signs in Excel.
CELL_START = re.compile(r"(\A|[,;|\t\r\n])(?=[\"\s\u200b-\u200f\u2060\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20])")


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def export_orders(orders: QuerySet[Order]) -> StreamingHttpResponse:
    """The orders in the order in which they were placed; totals in units of their currency, times in UTC.

    A format for programs: its columns and statuses are the same in every language. It begins with a byte order mark,
    without which Excel takes UTF-8 for the reader's old code page.
    """
    batches = _write_batches(orders)
    # The first is read here, where an error is an answer yet; later ones can only cut the file off.
    content = chain([BOM_UTF8, next(batches)], batches)
    answer = StreamingHttpResponse(content, content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="orders-{timezone.now():%Y%m%d-%H%M%S}.csv"'
    return answer


def quote_cell(text: str) -> str:
    """The text, never a formula, whether a comma, a semicolon or a tab is taken for the delimiter.

    An apostrophe stands wherever a cell would begin with a sign that makes it a formula.
    """
    text = CELL_START.sub(r"\1'", text)
    return f"'{text}" if text.startswith(("\t", "\r", "\n")) else text


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
    return str(to_decimal(amount, currency))
