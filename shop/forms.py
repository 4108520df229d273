"""What a customer fills in: how many, by which email, and how to pay."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.utils.translation import gettext_lazy as _

from accounts.email_addresses import EmailAddressField
from accounts.models import User
from catalog.texts import MAX_SKU, NormalizedField, validate_sku


class QuantityForm(forms.Form):
    """Units of a product; more than can be bought is lowered later, and said."""

    sku = NormalizedField(max_length=MAX_SKU, validators=[validate_sku])
    quantity = forms.IntegerField(min_value=1, max_value=1_000_000)


class CheckoutForm(forms.Form):
    """A guest's email, and the payment method.

    The method is one of SHOP_PAYMENT_METHODS; where there are none, a hidden token from the provider's own form.
    """

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
        if settings.SHOP_PAYMENT_METHODS:
            self.fields["payment_method"] = forms.ChoiceField(
                label=_("Pay with"),
                choices=settings.SHOP_PAYMENT_METHODS,
                widget=forms.RadioSelect,
                initial=settings.SHOP_PAYMENT_METHODS[0][0],
            )
        else:
            self.fields["payment_method"] = forms.RegexField(
                r"^pm_\w+$", max_length=64, label=_("Pay with"), widget=forms.HiddenInput
            )

    @property
    def email_address(self) -> str:
        email: str = self.user.email if self.user else self.cleaned_data["email"]
        return email
