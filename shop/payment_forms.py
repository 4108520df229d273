"""How a customer chooses what to pay with: a listed method, or the provider's own form in the page."""

import re
from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from payments.gateway import PaymentForm, get_gateway

FORM = ""  # what the field has before the provider's script puts a token into it


class PaymentMethodField(forms.ChoiceField):
    """One of SHOP_PAYMENT_METHODS, or a token that the provider's own form made.

    `nothing_done` is a sentence that is true until the form is sent, and after it was refused.
    """

    def __init__(self, *, nothing_done: str | Promise) -> None:
        self.nothing_done = nothing_done
        self.payment_form = get_gateway().payment_form()
        choices = [*([(FORM, _("Card"))] if self.payment_form else []), *settings.SHOP_PAYMENT_METHODS]
        choose = format_lazy("{} {}", nothing_done, _("Choose how to pay."))
        no_card = format_lazy("{} {}", nothing_done, _("The details of your card are missing: enter them."))
        super().__init__(
            label=_("Pay with"),
            choices=choices,
            widget=forms.RadioSelect,
            initial=next((value for value, _title in choices), None),
            error_messages={"invalid_choice": choose, "required": no_card if self.payment_form else choose},
        )

    def valid_value(self, value: Any) -> bool:
        is_token = self.payment_form is not None and re.fullmatch(self.payment_form.pattern, value)
        return bool(is_token) or super().valid_value(value)

    def bound_data(self, data: Any, initial: Any) -> Any:
        """A token is not shown again: the card has to be typed in anew, since its frame is."""
        return data if data in dict(settings.SHOP_PAYMENT_METHODS) else FORM


def render_with_payment_form(
    request: HttpRequest, template: str, context: dict[str, Any], *, form: PaymentForm | None, status: int = 200
) -> HttpResponse:
    """Render a page that has the provider's form in it. Its policy alone allows the sources of that form."""
    response = render(request, template, context | {"payment_form": form}, status=status)
    if form:
        response.content_sources = form.sources  # type: ignore[attr-defined] # for config.security
    return response
