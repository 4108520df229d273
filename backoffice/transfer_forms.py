"""The forms of bank transfers: what arrived in the shop's account, and what was sent back from it."""

from datetime import date
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from backoffice.money_field import MoneyField, read_amount
from backoffice.order_status import ARCHIVED
from catalog.texts import NormalizedField
from orders.models import Order
from orders.transfers import Recorded, record_transfer
from payments.manual import TransferReused, record_sent_refund
from payments.transfers import MAX_NOTE, TransferRefund

MOST = 10**15  # minor units: no transfer to a shop is of so many


class BankForm(forms.Form):
    """What the bank's statement says of one transfer: its own reference, and the day."""

    title: Promise
    provider_id = forms.CharField(
        label=_("The bank's reference"),
        max_length=255,
        validators=[RegexValidator(r"^[ -~]+\Z", _("Only letters, digits and signs of ASCII."))],
        help_text=_("Of this one transfer, as the statement has it. It is recorded once, however often you press."),
    )
    day = forms.DateField(
        label=_("Day"),
        initial=timezone.localdate,
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        help_text=_("When the bank booked it."),
    )

    def clean_day(self) -> date:
        day: date = self.cleaned_data["day"]
        if day > timezone.localdate():
            raise ValidationError(gettext("This day is still to come."))
        return day

    def refuse_reference(self) -> None:
        text = gettext(
            "Another transfer was recorded under this reference of the bank, or this one with other figures."
        )
        self.add_error("provider_id", text)


class ArrivalForm(BankForm):
    title = _("Record a transfer")
    reference = forms.CharField(
        label=_("Order"), max_length=32, help_text=_("The order's code, as the customer wrote it.")
    )
    amount = MoneyField(label=_("Amount"), help_text=_("What arrived, in the currency of the order."))
    note = NormalizedField(
        label=_("Note"),
        max_length=MAX_NOTE,
        required=False,
        help_text=_("For staff. It is kept in the order's timeline."),
    )
    field_order = ["reference", "amount", "provider_id", "day", "note"]

    def clean(self) -> dict[str, Any]:
        code, amount = self.cleaned_data.get("reference", ""), self.cleaned_data.get("amount")
        order = Order.objects.filter(code=code.strip().upper()).first()
        if code and order is None:
            self.add_error("reference", gettext("There is no order with this code."))
        if order and amount is not None:
            self.cleaned_data |= {"code": order.code, "minor_units": self._read_amount(amount, order.currency)}
        return self.cleaned_data

    def _read_amount(self, amount: Any, currency: str) -> int:
        try:
            minor_units = read_amount(amount, currency)
        except ValidationError as error:
            self.add_error("amount", error)
            return 0
        if not 0 < minor_units < MOST:
            self.add_error("amount", gettext("No transfer is of this amount."))
        return minor_units

    def save(self, *, actor: User) -> Recorded | None:
        """Record the transfer. None: nothing was recorded, and the form's errors say why."""
        asked = self.cleaned_data
        try:
            return record_transfer(
                code=asked["code"],
                amount=asked["minor_units"],
                provider_id=asked["provider_id"],
                arrived_on=asked["day"],
                actor=actor,
                note=asked["note"],
            )
        except TransferReused:
            self.refuse_reference()
            return None
        except Order.DoesNotExist:
            self.add_error(None, ARCHIVED)
            return None


class SentBackForm(BankForm):
    title = _("Record that it was sent back")

    def save(self, *, refund: TransferRefund, actor: User) -> bool:
        """Record that the money was sent. False: nothing was recorded, and the form's errors say why."""
        sent = {"provider_id": self.cleaned_data["provider_id"], "sent_on": self.cleaned_data["day"]}
        try:
            record_sent_refund(pk=refund.pk, **sent, actor=actor)
        except TransferReused:
            self.refuse_reference()
            return False
        return True
