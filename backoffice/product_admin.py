"""The admin's pages of products. A product is never deleted, because orders and stock movements name it."""

import hashlib
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import F
from django.forms.models import model_to_dict
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from backoffice.money_field import MoneyField, read_amount
from backoffice.read_only import SearchAdmin
from catalog.models import Product, Stock
from catalog.texts import normalize
from money import format_money, format_number

PRICE = ("price", "currency")  # on one line


class ProductForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's own is not generic
    """Takes the price in units of the currency. Refuses to save what somebody else has changed since it was opened."""

    price = MoneyField(label=_("Price"), required=False, help_text=_("In units of the currency. Empty: not for sale."))
    seen = forms.CharField(label="", widget=forms.HiddenInput, required=False)  # a hash of the product as it was shown

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["seen"] = hashlib.sha256(repr(model_to_dict(self.instance)).encode()).hexdigest()
        if self.instance.price is not None:
            self.initial["price"] = format_number(self.instance.price, self.instance.currency)

    def clean_description(self) -> str:
        return normalize(self.cleaned_data["description"])

    def clean(self) -> None:
        super().clean()
        self._clean_price()
        if self.cleaned_data.get("seen", "") != self.initial.get("seen", ""):
            self.add_error(None, gettext("Somebody else has changed this product. Nothing was saved: open it again."))

    def _clean_price(self) -> None:
        # Here, because it hangs on two fields: the same digits are other minor units in another currency.
        price = self.cleaned_data.get("price")
        if price is None:
            return
        try:
            self.cleaned_data["price"] = read_amount(price, self.cleaned_data.get("currency", settings.SHOP_CURRENCY))
        except forms.ValidationError as error:
            self.add_error("price", error)


@admin.register(Product)
class ProductAdmin(SearchAdmin):
    list_display = ["sku", "name", "money", "active", "available"]
    list_filter = ["active", ("price", admin.EmptyFieldListFilter)]
    list_select_related = ["stock"]
    search_fields = ["sku__istartswith", "name"]
    search_help_text = _("The SKU, from its beginning, or words of the name.")
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    form = ProductForm
    fields = ["sku", "name", "slug", "description", PRICE, "max_quantity", "active", "available"]
    readonly_fields = ["available"]

    @admin.display(description=_("price"), ordering="price")
    def money(self, product: Product) -> str:
        return format_money(product.price, product.currency) if product.price else gettext("no price")

    @admin.display(description=_("available"), ordering=F("stock__on_hand") - F("stock__reserved"))
    def available(self, product: Product) -> str | None:
        stock: Stock | None = getattr(product, "stock", None)  # a product that is being added has none yet
        if stock is None:
            return None
        page = reverse("admin:catalog_stock_change", args=[stock.pk])
        return format_html('<a href="{}">{}</a>', page, stock.available)

    def get_fields(self, request: HttpRequest, obj: Product | None = None) -> Any:
        fields = super().get_fields(request, obj)
        if obj is None:
            return fields
        if not self.has_change_permission(request, obj):  # no form: the admin would show the row's minor units
            return ["money" if field == PRICE else field for field in fields]
        return [*fields, "seen"]

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Product | None:
        """Lock the product that a POST changes, so that nobody changes it between the form's check and the save."""
        product: Product | None = super().get_object(request, object_id, from_field)
        if product and request.method == "POST":  # the admin handles a POST in a transaction
            return Product.objects.select_for_update(no_key=True).get(pk=product.pk)
        return product

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"currency": settings.SHOP_CURRENCY, **super().get_changeform_initial_data(request)}

    def save_model(self, request: HttpRequest, obj: Product, form: "forms.ModelForm[Product]", change: bool) -> None:
        super().save_model(request, obj, form, change)
        Stock.objects.get_or_create(product=obj)

    def has_delete_permission(self, request: HttpRequest, obj: Product | None = None) -> bool:
        return False
