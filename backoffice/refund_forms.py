"""The form that gives money of an order back: for units of its lines, or an amount of its own."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from backoffice.money_field import MoneyField, read_amount
from backoffice.note_forms import NoteField
from backoffice.order_status import ARCHIVED
from money import format_money, format_number
from money.currencies import get_step
from orders.models import Order, OrderLine
from orders.refunds import (
    LineAlreadyReturned,
    NoSuchLine,
    OrderIsNotRefundable,
    RefundNumberReused,
    Returned,
    WrongRefundAmount,
    WrongRefundNumber,
    count_returnable,
    refund_order,
)
from payments.refund_models import MAX_NUMBER, Refund
from payments.refunds import NotRefundable, RefundTooLarge, count_left, find_next_number

REFUSALS = {  # why nothing was refunded, by the code of the refusal
    OrderIsNotRefundable.code: gettext_noop("The order is not confirmed: there is no money of it to give back."),
    RefundTooLarge.code: gettext_noop("This is more than what is left: %(left)s."),
    WrongRefundAmount.code: gettext_noop(
        "Choose units to give back, or type an amount: more than 0, and a multiple of %(step)s."
    ),
    LineAlreadyReturned.code: gettext_noop(
        "Fewer units are left than you typed: the others were given back, or are being given back."
    ),
    NoSuchLine.code: gettext_noop("The order has no such line."),
    RefundNumberReused.code: gettext_noop(
        "Another refund was made meanwhile, by this form or by somebody else. Look at what is left. "
        "To give back this as well, press the button again."
    ),
    WrongRefundNumber.code: gettext_noop(
        "The order's refunds have changed meanwhile. Look at what is left, and press the button again."
    ),
}


class Row(NamedTuple):
    """A line of the order as the form shows it."""

    line: OrderLine
    price: str
    returnable: int
    quantity: forms.BoundField
    restock: forms.BoundField


class RefundForm(forms.Form):
    """The form's number is the refund's, so that a form sent twice makes one refund."""

    number = forms.IntegerField(min_value=1, max_value=MAX_NUMBER, widget=forms.HiddenInput)
    amount = MoneyField(
        label=_("Amount"),
        required=False,
        help_text=_("In units of the currency. Empty: what the units above cost."),
    )
    note = NoteField(
        help_text=_(
            "Why the money goes back. Kept in the order's timeline, with your name; the customer does not see it."
        )
    )

    def __init__(self, *args: Any, order: Order, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.order, self.lines = order, order.cached_lines
        self.initial.setdefault("number", find_next_number(order.payment))
        self.fields["amount"].label = f"{self.fields['amount'].label} ({order.currency})"
        for line in self.lines:
            self.fields[f"quantity_{line.pk}"] = _make_quantity_field(line)
            self.fields[f"restock_{line.pk}"] = _make_restock_field(line)

    @property
    def rows(self) -> Iterator[Row]:
        """The lines with their fields, and with the units that can still be given back now."""
        returnable = count_returnable(self.order)
        for line in self.lines:
            price = format_money(line.price, self.order.currency)
            fields = self[f"quantity_{line.pk}"], self[f"restock_{line.pk}"]
            yield Row(line, price, returnable[line.pk], *fields)

    def clean_amount(self) -> int | None:
        amount = self.cleaned_data["amount"]
        return None if amount is None else read_amount(amount, self.order.currency)

    def save(self, *, actor: User) -> Refund | None:
        """Refund the order and return the refund. None: nothing was refunded, and the form's errors say why."""
        chosen = self.cleaned_data
        try:
            refund, _created = refund_order(
                code=self.order.code,
                number=chosen["number"],
                lines=self._read_lines(),
                amount=chosen["amount"],
                actor=actor,
                note=chosen["note"],
            )
        except NotRefundable as refused:
            self._explain(refused)
            return None
        except Order.DoesNotExist:
            self.add_error(None, ARCHIVED)
            return None
        return refund

    def _read_lines(self) -> list[Returned]:
        chosen = self.cleaned_data
        return [
            Returned(line.pk, quantity, chosen[f"restock_{line.pk}"])
            for line in self.lines
            if (quantity := chosen[f"quantity_{line.pk}"])
        ]

    def _explain(self, refused: NotRefundable) -> None:
        currency = self.order.currency
        words = {
            "left": format_money(count_left(self.order.payment), currency),
            "step": format_money(get_step(currency), currency),
        }
        self.add_error(None, ValidationError(gettext(REFUSALS[refused.code]) % words, code=refused.code))
        # What was typed stays, and becomes the next refund if it is sent once more.
        self.data = {**dict(self.data.items()), "number": find_next_number(self.order.payment)}


def suggest_rest(order: Order) -> dict[str, Any]:
    """The initial values of a form that gives all back that is left."""
    returnable = count_returnable(order)
    units = {f"quantity_{line}": quantity for line, quantity in returnable.items()}
    cost = sum(line.price * returnable[line.pk] for line in order.cached_lines)
    left = count_left(order.payment)
    return units if cost == left else units | {"amount": format_number(left, order.currency)}


def _make_quantity_field(line: OrderLine) -> forms.IntegerField:
    # What can be given back is checked under the lock: here it would refuse the second click of one that did it.
    label = gettext("Units of %(sku)s to give back") % {"sku": line.sku}
    widget = forms.NumberInput(attrs={"aria-label": label, "class": "units"})
    return forms.IntegerField(required=False, initial=0, min_value=0, max_value=line.quantity, widget=widget)


def _make_restock_field(line: OrderLine) -> forms.BooleanField:
    label = gettext("Units of %(sku)s go back to stock") % {"sku": line.sku}
    return forms.BooleanField(required=False, initial=True, widget=forms.CheckboxInput(attrs={"aria-label": label}))
