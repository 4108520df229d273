"""Reads a file of invoices: each sale is the checkout that a customer would send, each cancellation what comes back."""

import json
import lzma
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from tqdm import tqdm

from catalog.text_file import TextUnreadable, open_text
from catalog.texts import normalize
from lab.simulation.returns import Bought, Return, Sales

FAULTY_PAYMENT_METHODS = ("pm_card_visa_chargeDeclined", "pm_sandbox_slow", "pm_sandbox_drop")
MAX_KEY = 255


class InvoicesUnreadable(Exception):
    """The file can't be opened, or it ends or breaks in the middle."""


class Skipped(Exception):
    """The invoice is not placed, or the line is left out. The reason is a stable code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Offer:
    """A product as the catalogue has it."""

    price: int | None  # minor units
    active: bool


@dataclass(frozen=True)
class Checkout:
    """What is sent: the idempotency key, and the body."""

    key: str
    body: dict[str, Any]


@dataclass(kw_only=True)
class InvoiceReader:
    """Turns lines into checkouts, and counts what it read and what it left out, by reason.

    Depends on nothing but the lines and the catalogue, so the same file makes the same checkouts again. Every
    `faulty_every`-th has, in turn, a payment method that declines, is slow, or loses the answer.
    """

    catalogue: Mapping[str, Offer]
    faulty_every: int | None = None
    invoices: int = 0
    sales: int = 0
    cancellations: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    sold: Sales = field(default_factory=Sales)
    returns: list[Return] = field(default_factory=list)

    def read_checkouts(self, lines: Iterable[bytes]) -> Iterator[Checkout]:
        """The checkouts of the sales. What cancellations bring back of them is added to `returns` meanwhile."""
        for line in lines:
            self.invoices += 1
            try:
                invoice = _parse_invoice(line)
                if invoice["kind"] == "cancel":
                    self._read_cancellation(invoice)
                else:
                    yield self._read_checkout(invoice)
            except Skipped as skipped:
                self.skipped[skipped.reason] += 1

    def _read_cancellation(self, invoice: dict[str, Any]) -> None:
        self.cancellations += 1
        returned = [_read_returned(line) for line in invoice["lines"]]
        customer = invoice.get("customer")
        self.returns += self.sold.match(
            customer=None if customer is None else str(customer), lines=[line for line in returned if line]
        )
        if malformed := returned.count(None):
            self.skipped["malformed_line"] += malformed

    def _read_checkout(self, invoice: dict[str, Any]) -> Checkout:
        if invoice["kind"] != "sale":
            raise Skipped(invoice["kind"])
        bought = self._read_lines(invoice["lines"])
        if not bought:
            raise Skipped("no_usable_line")
        self.sales += 1
        customer = invoice.get("customer")
        quantities: Counter[str] = Counter()
        for line in bought:  # the same SKU twice is one line
            quantities[line.sku] += line.quantity
            if customer is not None:
                self.sold.add(customer=str(customer), sale=invoice["invoice"], bought=line)
        body = {
            "email": f"guest-{invoice['invoice']}@example.com"
            if customer is None
            else f"customer-{customer}@example.com",
            "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in quantities.items()],
            "payment_method": self._choose_payment_method(),
            "expected_total": sum(quantity * (self.catalogue[sku].price or 0) for sku, quantity in quantities.items()),
        }
        return Checkout(invoice["invoice"], body)

    def _read_lines(self, lines: list[Any]) -> list[Bought]:
        """The usable lines."""
        bought = []
        for line in lines:
            try:
                bought.append(self._read_line(line))
            except Skipped as skipped:
                self.skipped[skipped.reason] += 1
        return bought

    def _read_line(self, line: Any) -> Bought:
        match line:
            case {"sku": str(sku), "qty": int(quantity)} if type(quantity) is int and abs(quantity) < 2**53:
                sku = normalize(sku.strip())
                offer = self.catalogue.get(sku)
            case _:
                raise Skipped("malformed_line")
        if offer is None:
            raise Skipped("unknown_sku")
        if offer.price is None:
            raise Skipped("no_price")
        if not offer.active:
            raise Skipped("not_for_sale")
        if quantity <= 0:
            raise Skipped("non_positive_quantity")
        return Bought(sku, quantity, _read_price(line))

    def _choose_payment_method(self) -> str:
        if self.faulty_every is None or self.sales % self.faulty_every:
            return "pm_card_visa"
        return FAULTY_PAYMENT_METHODS[(self.sales // self.faulty_every - 1) % len(FAULTY_PAYMENT_METHODS)]


def _parse_invoice(line: bytes) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        invoice: dict[str, Any]
        match invoice := json.loads(line.decode()):
            case {"invoice": str(key), "kind": str(), "lines": list()} if _is_key(key):
                return invoice
    raise Skipped("malformed")


def _read_returned(line: Any) -> Bought | None:
    """A line of a cancellation, whose quantity is negative. None: it is malformed."""
    match line:
        case {"sku": str(sku), "qty": int(quantity)} if type(quantity) is int and -(2**53) < quantity < 0:
            return Bought(normalize(sku.strip()), -quantity, _read_price(line))
    return None


def _read_price(line: Mapping[str, Any]) -> Decimal | None:
    with suppress(InvalidOperation):
        return Decimal(str(line.get("unit_price")))
    return None


def _is_key(key: str) -> bool:
    return 0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable() and key == key.strip()


def read_lines(path: Path, bar: "tqdm[Any]") -> Iterator[bytes]:
    """The lines of a file, plain or .xz, in UTF-8, blank ones left out; the bar follows the bytes read from the disk.

    Bytes that are no UTF-8 stay as they are. Holds one line at a time, whatever the size of the file.
    Raises InvoicesUnreadable.
    """
    try:
        with (
            path.open("rb") as raw,
            lzma.open(raw) if path.suffix == ".xz" else raw as file,
            open_text(file, newline="\n") as lines,
        ):
            bar.reset(total=os.fstat(raw.fileno()).st_size or None)
            for line in lines:
                if raw.seekable():
                    bar.update(raw.tell() - bar.n)
                if not line.isspace():
                    yield line.encode(errors="surrogateescape")
    except TextUnreadable as error:
        raise InvoicesUnreadable(f"{path}: {error}") from error
    except (OSError, EOFError, lzma.LZMAError, UnicodeError) as error:
        raise InvoicesUnreadable(f"{path}: {error}") from error
