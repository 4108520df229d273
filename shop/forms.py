"""The customer's forms: how many units, the email and the payment method."""

from typing import Any

from django import forms
from django.contrib.auth.models import AnonymousUser
from django.utils.translation import gettext_lazy as _

from accounts.email_addresses import EmailAddressField
from accounts.models import User
from catalog.texts import MAX_SKU, NormalizedField, validate_sku
from payments.refund_models import MAX_NUMBER
from shop.payment_forms import PayingForm


class QuantityForm(forms.Form):
    """Units of a product. Whether so many can be bought, the cart says later."""

    sku = NormalizedField(max_length=MAX_SKU, validators=[validate_sku])
    quantity = forms.IntegerField(min_value=1, max_value=1_000_000)


class PayAgainForm(PayingForm):
    """Another payment for an order: its number, which makes two clicks one payment, and its method."""

    nothing_done = _("Nothing was paid.")
    number = forms.IntegerField(min_value=2, max_value=1_000, widget=forms.HiddenInput)


class RefundForm(forms.Form):
    """The number of the refund, which makes two clicks one refund."""

    number = forms.IntegerField(min_value=1, max_value=MAX_NUMBER, widget=forms.HiddenInput)


class CheckoutForm(PayingForm):
    """The email and the payment method. A guest types the email; a user's is the account's."""

    nothing_done = _("Nothing was ordered, and your card was not charged.")
    email = EmailAddressField(
        label=_("Email"),
        help_text=_("For the confirmation, and to find your order again."),
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )

    def __init__(self, *args: Any, user: User | AnonymousUser, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user if isinstance(user, User) else None
        if self.user:
            del self.fields["email"]

    def clean(self) -> dict[str, Any]:
        if self.user:
            self.cleaned_data["email"] = self.user.email
        return self.cleaned_data
