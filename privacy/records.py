"""Whole orders, as they stand in the archive and in what a customer is given: every column of every row."""

from collections import defaultdict
from collections.abc import Collection
from typing import Any, NamedTuple

from django.db.models import F, Model

from accounts.pseudonyms import ERASED, make_pseudonym
from orders.models import Order, OrderEvent, OrderLine, OrderMail, RefundLine
from payments.models import Dispute, Payment, Refund, Transfer, TransferRefund

Record = dict[str, Any]


class Part(NamedTuple):
    """Rows that belong to an order, and how they lead to its code."""

    model: type[Model]
    code: str


PARTS = {
    "lines": Part(OrderLine, "order__code"),
    "payments": Part(Payment, "reference"),
    "refunds": Part(Refund, "payment__reference"),
    "refund_lines": Part(RefundLine, "line__order__code"),
    "disputes": Part(Dispute, "payment__reference"),
    "transfers": Part(Transfer, "reference"),
    "transfer_refunds": Part(TransferRefund, "transfer__reference"),
    "events": Part(OrderEvent, "order__code"),
    "mails": Part(OrderMail, "order__code"),
}


def describe_orders(codes: Collection[str]) -> list[Record]:
    """Each order with all its parts, in the order of the codes. One query for each part."""
    orders = {row["code"]: row for row in Order.objects.filter(code__in=codes).values()}
    parts = {name: _read_part(part, codes) for name, part in PARTS.items()}
    return [
        {"order": orders[code], **{name: rows[code] for name, rows in parts.items()}}
        for code in codes
        if code in orders
    ]


def pseudonymize(record: Record) -> Record:
    """The record as the archive has it: nobody can tell from it whose order it was, or what anybody wrote of them."""
    order = record["order"] | {"email": make_pseudonym(record["order"]["email"]), "metadata": {}}
    return replace_notes(record, ERASED) | {
        "order": order,
        "payments": [payment | {"last_error": ""} for payment in record["payments"]],
        "refunds": [refund | {"last_error": ""} for refund in record["refunds"]],
    }


def replace_note(row: Record, words: str) -> Record:
    return row | {"note": words} if row.get("note") else row


def replace_notes(record: Record, words: str) -> Record:
    """The record with these words in place of each note that staff have written."""
    return record | {
        "events": [event | {"data": replace_note(event["data"], words)} for event in record["events"]],
        "transfers": [replace_note(transfer, words) for transfer in record["transfers"]],
    }


def _read_part(part: Part, codes: Collection[str]) -> defaultdict[str, list[Record]]:
    rows: defaultdict[str, list[Record]] = defaultdict(list)
    found = part.model._default_manager.filter(**{f"{part.code}__in": codes}).order_by("pk")
    for row in found.values(*_list_columns(part.model), archived_code=F(part.code)):
        rows[row.pop("archived_code")].append(row)
    return rows


def _list_columns(model: type[Model]) -> list[str]:
    return [str(field.attname) for field in model._meta.concrete_fields]
