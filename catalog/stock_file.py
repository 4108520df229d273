"""Moves the stock of many products by a CSV file, as a delivery or after a count: the whole file or none of it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from django.db import transaction
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import User
from catalog.catalog_file import BadRow, read_rows
from catalog.models import Stock, StockMovement
from catalog.services import AdjustmentRefused, adjust_stock, lock_stock, receive_stock
from catalog.text_file import TextUnreadable, find_delimiter, read_text, trim_row
from catalog.texts import normalize

HEADER = ["sku", "quantity", "reason"]
MAX_ROWS = 1_000  # while they are written, their stock is locked and orders wait
MAX_UNITS = 1_000_000  # in one row; more must be a typing error
MAX_REASON = 200
NUMBER = re.compile(r"[+-]?\d{1,12}", re.ASCII)  # 1_000 is no number here, although Python reads it


class StockFileRefused(Exception):
    """Something in the file is wrong, and nothing was moved. `bad_rows` says what is wrong in which line."""

    def __init__(self, bad_rows: list[BadRow]) -> None:
        super().__init__(bad_rows)
        self.bad_rows = bad_rows


class ReferenceReused(Exception):
    """Another file has used the reference before. Nothing was moved now."""


@dataclass(frozen=True)
class Move:
    """A line of the file: an adjustment if it has a reason, otherwise a delivery."""

    line: int
    sku: str
    quantity: int
    reason: str


def read_stock_file(file: BinaryIO) -> list[Move]:
    """Read the moves of the file. Its first line is sku, quantity, reason, separated by commas, semicolons or tabs.

    Raises StockFileRefused with every bad row.
    """
    bad_rows: list[BadRow] = []
    try:
        delimiter, lines = find_delimiter(read_text(file))
        rows = read_rows(lines, bad_rows, delimiter=delimiter)
        _check_header(next(rows, (1, [])))
        moves = _read_moves(rows, bad_rows)
    except TextUnreadable as error:
        raise StockFileRefused([BadRow(error.line, _("not UTF-8 text"))]) from error
    ids = _find_product_ids(moves)
    unknown = _("no product has the SKU %(sku)s")
    bad_rows += [BadRow(move.line, unknown % {"sku": sku}) for sku, move in moves.items() if sku not in ids]
    if not moves and not bad_rows:
        bad_rows.append(BadRow(1, _("no row below the first line")))
    if bad_rows:
        raise StockFileRefused(bad_rows)
    return list(moves.values())


def move_stock(*, reference: str, moves: Sequence[Move], actor: User) -> int:
    """Make all moves in one transaction, and return their number. A repeat moves nothing.

    Raises StockFileRefused if less would be left than is reserved, and ReferenceReused.
    """
    with transaction.atomic():
        ids = _find_product_ids(move.sku for move in moves)
        lock_stock(ids.values())  # all of them first: the file may move them in another order than orders lock them
        _check_repeat(reference, moves, ids)
        deliveries = {ids[move.sku]: move.quantity for move in moves if not move.reason}
        receive_stock(reference=reference, quantities=deliveries, actor=actor)
        if bad_rows := list(_adjust(reference, [move for move in moves if move.reason], ids, actor)):
            raise StockFileRefused(bad_rows)
    return len(moves)


def _check_header(header: tuple[int, list[str]]) -> None:
    line, cells = header
    if [cell.strip().lower() for cell in trim_row(cells, columns=0)] != HEADER:
        raise StockFileRefused([BadRow(line, _("the first line is not %(header)s") % {"header": ",".join(HEADER)})])


def _read_moves(rows: Iterator[tuple[int, list[str]]], bad_rows: list[BadRow]) -> dict[str, Move]:
    """The moves by SKU, until there are too many rows; what is wrong goes into `bad_rows`."""
    moves: dict[str, Move] = {}
    for line, cells in rows:
        if len(moves) + len(bad_rows) >= MAX_ROWS:
            too_many = _("more than %(most)s rows: split it into two files")
            bad_rows.append(BadRow(line, too_many % {"most": number_format(MAX_ROWS, force_grouping=True)}))
            break
        wrong, move = _read_move(line, cells)
        if not wrong and move.sku in moves:
            names = {"sku": move.sku, "line": moves[move.sku].line}
            wrong = _("SKU %(sku)s is on line %(line)s already") % names
        if wrong:
            bad_rows.append(BadRow(line, wrong))
        else:
            moves[move.sku] = move
    return moves


def _read_move(line: int, cells: list[str]) -> tuple[str, Move]:
    """Return what is wrong with the row, or an empty text, and its move."""
    cells = trim_row(cells, columns=len(HEADER))
    sku, quantity, reason = (normalize(cell.strip()) for cell in (*cells, "", "", "")[:3])
    if not NUMBER.fullmatch(quantity):
        wrong = _("quantity '%(quantity)s' is not a whole number") % {"quantity": quantity}
        return wrong, Move(line, sku, 0, reason)
    move = Move(line, sku, int(quantity), reason)
    columns = ngettext("%(count)s column, not %(wanted)s", "%(count)s columns, not %(wanted)s", len(cells))
    most = {"most": number_format(MAX_UNITS, force_grouping=True)}
    longest = {"longest": MAX_REASON}
    checks = {
        columns % {"count": len(cells), "wanted": len(HEADER)}: len(cells) != len(HEADER),
        _("no SKU"): not sku,
        _("a NUL character"): "\0" in sku + reason,
        _("the quantity is 0"): move.quantity == 0,
        _("more than %(most)s units") % most: abs(move.quantity) > MAX_UNITS,
        _("units are removed without a reason"): move.quantity < 0 and not reason,
        _("the reason is longer than %(longest)s characters") % longest: len(reason) > MAX_REASON,
    }
    return next((words for words, wrong in checks.items() if wrong), ""), move


def _find_product_ids(skus: Iterable[str]) -> dict[str, int]:
    return dict(Stock.objects.filter(product__sku__in=list(skus)).values_list("product__sku", "pk"))


def _check_repeat(reference: str, moves: Sequence[Move], ids: dict[str, int]) -> None:
    before = StockMovement.objects.filter(reference=reference).values_list("stock_id", "quantity", "reason")
    wanted = {(ids[move.sku], move.quantity, move.reason) for move in moves}
    if before and set(before) != wanted:
        raise ReferenceReused


def _adjust(reference: str, moves: Sequence[Move], ids: dict[str, int], actor: User) -> Iterator[BadRow]:
    for move in moves:
        try:
            adjust_stock(
                reference=reference,
                product_id=ids[move.sku],
                quantity=move.quantity,
                reason=move.reason,
                actor=actor,
            )
        except AdjustmentRefused as error:
            yield BadRow(move.line, str(error))
