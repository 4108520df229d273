"""The forms that move stock: by a delivery, by an adjustment with its reason, or by a file of both."""

from contextlib import suppress
from uuid import uuid4

from django import forms
from django.utils.formats import number_format
from django.utils.functional import Promise, lazy
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from catalog.models import Stock, StockMovement
from catalog.services import AdjustmentRefused, AdjustmentReused, adjust_stock, receive_stock
from catalog.stock_file import (
    MAX_ROWS,
    MAX_UNITS,
    Move,
    ReferenceReused,
    StockFileRefused,
    move_stock,
    read_stock_file,
)
from catalog.texts import NormalizedField

MAX_FILE_SIZE = 1_000_000  # bytes


class MovementForm(forms.Form):
    """Moves one stock. The form's token is the movement's reference, so that a form sent twice moves once."""

    title: Promise
    token = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)

    @property
    def reference(self) -> str:
        return f"staff-{self.cleaned_data['token']}"

    def save(self, *, stock: Stock, actor: User) -> StockMovement | None:
        """Move the stock and return the movement. None: nothing was moved, and the form's errors say why."""
        try:
            with suppress(AdjustmentReused):  # what is below says what was moved
                self.move_stock(stock=stock, actor=actor)
        except AdjustmentRefused as error:
            self.add_error("quantity", gettext("%(error)s.") % {"error": error})
            return None
        movement = stock.movements.get(reference=self.reference)
        asked = self.cleaned_data["quantity"], self.cleaned_data.get("reason", "")
        # They differ after somebody went back to a form that was sent already, and filled it in anew.
        if asked != (movement.quantity, movement.reason):
            text = gettext("This form has already moved %(quantity)s. Open a new one to move more.")
            self.add_error(None, text % {"quantity": f"{movement.quantity:+}"})
            return None
        return movement

    def move_stock(self, *, stock: Stock, actor: User) -> None:
        raise NotImplementedError


class ReceiveForm(MovementForm):
    title = _("Receive a delivery")
    quantity = forms.IntegerField(
        label=_("Quantity"), min_value=1, max_value=MAX_UNITS, help_text=_("Units delivered.")
    )

    def move_stock(self, *, stock: Stock, actor: User) -> None:
        receive_stock(reference=self.reference, quantities={stock.pk: self.cleaned_data["quantity"]}, actor=actor)


class AdjustForm(MovementForm):
    title = _("Adjust stock")
    quantity = forms.IntegerField(
        label=_("Change"),
        min_value=-MAX_UNITS,
        max_value=MAX_UNITS,
        help_text=_("Units to add or, with a minus, to remove."),
    )
    reason = NormalizedField(label=_("Reason"), max_length=200, widget=forms.TextInput(attrs={"class": "vTextField"}))

    def clean_quantity(self) -> int:
        quantity: int = self.cleaned_data["quantity"]
        if quantity == 0:
            raise forms.ValidationError(gettext("Enter a change other than 0."))
        return quantity

    def move_stock(self, *, stock: Stock, actor: User) -> None:
        adjust_stock(
            reference=self.reference,
            product_id=stock.pk,
            quantity=self.cleaned_data["quantity"],
            reason=self.cleaned_data["reason"],
            actor=actor,
        )


class StockFileForm(forms.Form):
    """Moves stock by a file: all of its rows or none. The form's token is their reference, so that they move once."""

    token = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)
    file = forms.FileField(
        label=_("CSV file"),
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,text/csv"}),
        help_text=format_lazy(
            _(
                "CSV UTF-8 or Unicode text, at most {most} rows under the first line sku,quantity,reason. "
                "A row without a reason is a delivery; one with a reason is an adjustment, and may remove units."
            ),
            most=lazy(number_format, str)(MAX_ROWS, force_grouping=True),
        ),
    )

    def clean_file(self) -> list[Move]:
        file = self.cleaned_data["file"]
        if file.size > MAX_FILE_SIZE:
            text = gettext("The file is larger than %(max)s MB.")
            raise forms.ValidationError(text % {"max": MAX_FILE_SIZE // 1_000_000})
        try:
            return read_stock_file(file.file)
        except StockFileRefused as refused:
            raise forms.ValidationError(_list_bad_rows(refused)) from refused

    def save(self, *, actor: User) -> int:
        """Move the stock and return the number of rows. 0: nothing was moved, and the form's errors say why."""
        reference = f"staff-{self.cleaned_data['token']}"
        try:
            return move_stock(reference=reference, moves=self.cleaned_data["file"], actor=actor)
        except StockFileRefused as refused:
            self.add_error("file", _list_bad_rows(refused))
        except ReferenceReused:
            self.add_error(None, gettext("This form has already moved stock. Open a new one to move more."))
        return 0


def _list_bad_rows(refused: StockFileRefused) -> list[str]:
    text = gettext("Line %(line)s: %(reason)s.")
    rows = sorted(refused.bad_rows, key=lambda row: row.line)
    return [text % {"line": row.line, "reason": row.reason} for row in rows]
