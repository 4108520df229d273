"""Orders as CSV for a spreadsheet. They are sent while they are read, so a million take no more memory than a few."""

import csv
import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain

from django.db.models import BigIntegerField, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import StreamingHttpResponse
from django.utils import timezone

from money import to_decimal
from orders.models import Order
from payments.dispute_models import Dispute

COLUMNS = {
    "code": "code",
    "status": "status",
    "cancel_reason": "cancel_reason",
    "email": "email",
    "currency": "currency",
    "total": "total",
    "disputed": "disputed",
    "payment": "payment__status",
    "provider_id": "payment__provider_id",
    "created_at": "created_at",
    "finalized_at": "finalized_at",
    "refunded": "refunded",
    "metadata": "metadata",
}
AMOUNTS = ("total", "refunded", "disputed")
# What customers' banks have taken back, for now or for good. For each order a look into an index.
TAKEN = Dispute.objects.not_won().filter(payment=OuterRef("payment")).values("payment").annotate(sum=Sum("amount"))
DISPUTED = Coalesce(Subquery(TAKEN.values("sum")), 0, output_field=BigIntegerField())
BATCH = 2_000  # rows that are read at once, and sent at once
# A cell that begins with one of these signs is a formula: https://owasp.org/www-community/attacks/CSV_Injection
# A reader's spreadsheet may take another delimiter than ours: then a cell begins in the middle of one of ours, and our
# quotes are no quotes. It may drop spaces and marks without a width; Excel takes full-width signs for signs.
CELL_START = re.compile(r"(\A|[,;|\t\r\n])(?=[\"\s\u200b-\u200f\u2060\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20])")


class _Echo:
    """A file for csv.writer: it returns each line instead of keeping it."""

    def write(self, text: str) -> str:
        return text


def export_orders(orders: QuerySet[Order]) -> StreamingHttpResponse:
    """Answer with the orders, the oldest first; amounts are in units of their currency, times in UTC.

    Programs read it too, so its columns and statuses are the same in every language. It begins with a byte order mark:
    without one, Excel takes UTF-8 for the reader's old code page.
    """
    batches = _write_batches(orders)
    # Read the first batch here: an error can still become an answer. Later, it can only cut the file off.
    content = chain([BOM_UTF8, next(batches)], batches)
    answer = StreamingHttpResponse(content, content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="orders-{timezone.now():%Y%m%d-%H%M%S}.csv"'
    return answer


def quote_cell(text: str) -> str:
    """Keep a spreadsheet from taking the text for a formula, whichever delimiter it takes: comma, semicolon or tab.

    An apostrophe is put wherever a cell could begin with a sign that makes it a formula.
    """
    text = CELL_START.sub(r"\1'", text)
    return f"'{text}" if text.startswith(("\t", "\r", "\n")) else text


def _write_batches(orders: QuerySet[Order]) -> Iterator[str]:
    rows = orders.annotate(disputed=DISPUTED).order_by("pk").values_list(*COLUMNS.values())
    lines = _write_lines(rows.iterator(chunk_size=BATCH))
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
        for name in AMOUNTS:
            cells[name] = format_amount(int(str(cells[name])), str(cells["currency"]))
        yield str(write([quote_cell(_write_cell(cell)) for cell in cells.values()]))


def _write_cell(cell: object) -> str:
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ", timespec="seconds")
    if isinstance(cell, dict):
        return json.dumps(cell, ensure_ascii=False) if cell else ""
    return "" if cell is None else str(cell)


def format_amount(amount: int, currency: str) -> str:
    """Minor units as a plain number: 123456 of GBP is 1234.56."""
    return str(to_decimal(amount, currency))
