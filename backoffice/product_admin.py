"""The admin's pages of products. A product is never deleted, because orders and stock movements name it."""

import hashlib
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import F
from django.forms.models import model_to_dict
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from backoffice.money_field import MoneyField, read_amount
from backoffice.read_only import SearchAdmin
from catalog.models import Picture, Product, Stock
from catalog.pictures import Encoded, NotAPicture, TooManyPixels, encode_picture, remove_picture, save_picture
from catalog.texts import NormalizedField, normalize
from money import format_money, format_number

TEXTS = ["sku", "name", "slug", "category", "description"]
PRICE = ("price", "currency")  # on one line
PICTURE = ["picture_file", "picture_alt", "picture_removed"]


class ProductForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's own is not generic
    """Takes the price in units of the currency. Refuses to save what somebody else has changed since it was opened."""

    price = MoneyField(label=_("Price"), required=False, help_text=_("In units of the currency. Empty: not for sale."))
    picture_file = forms.FileField(
        label=_("New picture"), required=False, help_text=_("JPEG, PNG or WebP. It takes the place of the one before.")
    )
    picture_alt = NormalizedField(
        label=_("What the picture shows"),
        max_length=200,
        required=False,
        help_text=_("For those who can't see it. Empty: the product's name."),
    )
    picture_removed = forms.BooleanField(label=_("Remove the picture"), required=False)
    seen = forms.CharField(label="", widget=forms.HiddenInput, required=False)  # a hash of the product as it was shown

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["seen"] = hashlib.sha256(repr(model_to_dict(self.instance)).encode()).hexdigest()
            picture = Picture.objects.filter(product=self.instance).first()
            self.initial["picture_alt"] = picture.alt if picture else ""
        if self.instance.price is not None:
            self.initial["price"] = format_number(self.instance.price, self.instance.currency)

    def clean_picture_file(self) -> Encoded | None:
        """What is to be kept of the file that was uploaded."""
        uploaded = self.cleaned_data["picture_file"]
        if not uploaded:
            return None
        if uploaded.size > settings.SHOP_PICTURE_BYTES:
            most = filesizeformat(settings.SHOP_PICTURE_BYTES)
            raise forms.ValidationError(gettext("The file is larger than %(most)s.") % {"most": most})
        try:
            return encode_picture(uploaded.read())
        except TooManyPixels:
            raise forms.ValidationError(gettext("The picture has too many pixels: make it smaller.")) from None
        except NotAPicture:
            raise forms.ValidationError(gettext("This is no picture, or a damaged one.")) from None

    def update_picture(self) -> None:
        """Keep, change or remove the picture, once the product is saved."""
        product, alt = self.instance, self.cleaned_data["picture_alt"] or self.instance.name
        if encoded := self.cleaned_data["picture_file"]:
            save_picture(product=product, encoded=encoded, alt=alt)
        elif self.cleaned_data["picture_removed"]:
            remove_picture(product=product)
        else:
            Picture.objects.filter(product=product).update(alt=alt)

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
    list_display = ["sku", "name", "category", "money", "active", "available"]
    list_filter = ["active", "category", ("price", admin.EmptyFieldListFilter)]
    list_select_related = ["stock", "category"]
    search_fields = ["sku__istartswith", "name"]
    search_help_text = _("The SKU, from its beginning, or words of the name.")
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    form = ProductForm
    fields = [*TEXTS, PRICE, "max_quantity", "active", "available", "picture", *PICTURE]
    readonly_fields = ["available", "picture"]

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

    @admin.display(description=_("picture"))
    def picture(self, product: Product) -> str:
        picture = Picture.objects.filter(product=product.pk).first()
        return format_html('<img src="{}" alt="{}" class="picture">', picture.url, picture.alt) if picture else "-"

    def get_fields(self, request: HttpRequest, obj: Product | None = None) -> Any:
        fields = super().get_fields(request, obj)
        if obj is None:
            return fields
        if not self.has_change_permission(request, obj):  # no form: the admin would show the row's minor units
            return ["money" if field == PRICE else field for field in fields if field not in PICTURE]
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
        form.update_picture()  # type: ignore[attr-defined]  # it is a ProductForm

    def has_delete_permission(self, request: HttpRequest, obj: Product | None = None) -> bool:
        return False
