"""The products, their stock, and the ledger of each stock's movements."""

from typing import Self

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Concat, Lower, Now
from django.urls import reverse
from django.utils.text import slugify
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.category_models import Category
from catalog.picture_models import Picture
from catalog.texts import MAX_SKU, NormalizedCharField, fold, skip_signs, validate_name, validate_sku
from money import format_money
from money.currencies import LARGEST_AMOUNT, get_step, is_currency

# Django looks for models here.
__all__ = ["Category", "Picture", "Product", "Stock", "StockMovement"]


def is_nfc(column: str) -> models.Func:
    return models.Func(F(column), template="%(expressions)s IS NFC NORMALIZED", output_field=models.BooleanField())


# What products are sorted by. No column has it: to add one that is computed, the whole table would be written anew.
SORT_NAME = skip_signs(Lower("name"))


class ProductQuerySet(models.QuerySet["Product"]):
    def for_sale(self) -> Self:
        """Products that a customer can see and, while units are left, buy."""
        return self.filter(active=True, stock__isnull=False)

    def with_stock(self) -> Self:
        """The products together with their stock rows, in one query."""
        return self.select_related("stock")

    def for_a_list(self) -> Self:
        """With their stock and their picture, and without their descriptions, which may be long."""
        return self.select_related("stock", "picture").defer("description")


class Product(models.Model):
    """An article of the shop. A product without a price is known but not for sale."""

    sku: "models.CharField[str, str]" = NormalizedCharField(
        _("SKU"), max_length=MAX_SKU, unique=True, validators=[validate_sku]
    )
    name: "models.CharField[str, str]" = NormalizedCharField(_("name"), max_length=200, validators=[validate_name])
    slug = models.SlugField(_("slug"), max_length=200, blank=True)
    description = models.TextField(_("description"), blank=True)
    category = models.ForeignKey(
        Category,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="products",
        verbose_name=_("category"),
        db_index=False,  # product_for_sale_by_category
    )
    price = models.PositiveBigIntegerField(
        _("price"), null=True, blank=True, help_text=_("In minor units: 255 is 2.55.")
    )
    currency = models.CharField(_("currency"), max_length=3, help_text="ISO 4217.")
    max_quantity = models.PositiveIntegerField(
        _("max quantity"),
        null=True,
        blank=True,
        help_text=_("Units in one order. Empty: as many as the shop sells of any product at once."),
    )
    active = models.BooleanField(_("active"), default=True, help_text=_("Can be bought."))
    search_text = models.GeneratedField(
        expression=fold(Concat("sku", Value(" "), "name")), output_field=models.TextField(), db_persist=True
    )

    objects = ProductQuerySet.as_manager()

    class Meta:
        verbose_name = _("product")
        verbose_name_plural = _("products")
        ordering = [SORT_NAME, "pk"]
        indexes = [
            # The version before sorts by it, and may run beside this one. It goes with the next.
            models.Index(fields=["name", "id"], condition=Q(active=True), name="product_for_sale_by_name"),
            # With the name itself an index has all that the expression needs, so no row is read for it.
            models.Index(
                SORT_NAME, "id", include=["name"], condition=Q(active=True), name="product_for_sale_by_sort_name"
            ),
            models.Index(fields=["price", "id"], condition=Q(active=True), name="product_for_sale_by_price"),
            models.Index(
                "category",
                SORT_NAME,
                "id",
                include=["name"],
                condition=Q(active=True),
                name="product_for_sale_by_category",
            ),
            GinIndex(fields=["search_text"], opclasses=["gin_trgm_ops"], name="product_search_text"),
        ]
        constraints = [
            models.CheckConstraint(condition=is_nfc("sku"), name="product_sku_is_nfc"),
            models.CheckConstraint(condition=is_nfc("name"), name="product_name_is_nfc"),
            models.CheckConstraint(
                condition=Q(price__gt=0),
                name="product_price_is_positive",
                violation_error_message=_("The price must be more than 0."),
            ),
            models.CheckConstraint(
                condition=Q(active=False) | Q(price__isnull=False),
                name="product_for_sale_has_a_price",
                violation_error_message=_("A product without a price can't be active."),
            ),
            models.CheckConstraint(
                condition=Q(max_quantity__gt=0),
                name="product_max_quantity_is_positive",
                violation_error_message=_("The max quantity must be more than 0."),
            ),
            models.CheckConstraint(
                condition=Q(currency__regex="^[A-Z]{3}$"),
                name="product_currency_is_iso_4217",
                violation_error_message=_("The currency is three capital letters, such as GBP."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sku} {self.name}"

    def save(self, *args: object, **kwargs: object) -> None:
        self.slug = self.slug or slugify(self.name)
        super().save(*args, **kwargs)  # type: ignore[arg-type]

    def get_absolute_url(self) -> str:
        return reverse("product", args=[self.slug or "-", self.sku])

    def clean(self) -> None:
        """Raise ValidationError for a price that the provider can't charge."""
        if self.currency and not is_currency(self.currency):
            raise ValidationError({"currency": gettext("There is no such currency: write a code such as GBP or KRW.")})
        if self.price and self.price > LARGEST_AMOUNT:
            largest = format_money(LARGEST_AMOUNT, self.currency)
            raise ValidationError({"price": gettext("At most %(most)s can be charged.") % {"most": largest}})
        if self.price and self.price % get_step(self.currency):
            step = format_money(get_step(self.currency), self.currency)
            raise ValidationError(
                {"price": gettext("This can't be charged: prices go in steps of %(step)s.") % {"step": step}}
            )

    @property
    def max_per_order(self) -> int:
        """How many units of the product one customer's order may have."""
        shop_limit: int = settings.SHOP_MAX_QUANTITY
        return shop_limit if self.max_quantity is None else self.max_quantity

    @property
    def buyable_units(self) -> int:
        """How many units of the product one order can have now: what is left, up to the limit of an order."""
        return min(self.stock.available, self.max_per_order)


class StockQuerySet(models.QuerySet["Stock"]):
    def low(self, *, units: int) -> Self:
        """Stocks of which at most so many units are available."""
        return self.filter(on_hand__lte=F("reserved") + units)


class Stock(models.Model):
    """How many units of a product there are. The row is separate, so that saving a product can't overwrite it."""

    product = models.OneToOneField(Product, on_delete=models.PROTECT, primary_key=True, verbose_name=_("product"))
    on_hand = models.PositiveBigIntegerField(_("on hand"), default=0)
    reserved = models.PositiveBigIntegerField(_("reserved"), default=0)

    objects = StockQuerySet.as_manager()

    class Meta:
        verbose_name = _("stock")
        verbose_name_plural = _("stock")
        constraints = [
            models.CheckConstraint(
                condition=Q(reserved__gte=0) & Q(reserved__lte=F("on_hand")), name="stock_reserved_is_on_hand"
            ),
        ]

    def __str__(self) -> str:
        return gettext("%(product)s: %(units)s available") % {"product": self.product, "units": self.available}

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved


class StockMovement(models.Model):
    """One change of one stock, for one reason. A trigger refuses updates and deletes, so the ledger only grows."""

    class Kind(models.TextChoices):
        RECEIVED = "RECEIVED", _("Received")
        ADJUSTED = "ADJUSTED", _("Adjusted")
        RESERVED = "RESERVED", _("Reserved")
        RELEASED = "RELEASED", _("Released")
        DEDUCTED = "DEDUCTED", _("Deducted")
        RETURNED = "RETURNED", _("Returned")

    stock = models.ForeignKey(
        Stock,
        on_delete=models.PROTECT,
        related_name="movements",
        verbose_name=_("stock"),
        db_index=False,  # movement_happens_once begins with it
    )
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    quantity = models.BigIntegerField(_("quantity"))
    reference = models.CharField(_("reference"), max_length=64)
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        verbose_name=_("actor"),
        db_index=False,  # movement_of_actor: an order's movements have none
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        verbose_name = _("stock movement")
        verbose_name_plural = _("stock movements")
        ordering = ["pk"]
        indexes = [
            models.Index(fields=["reference"], name="movement_reference"),
            models.Index(fields=["actor"], condition=Q(actor__isnull=False), name="movement_of_actor"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["stock", "reference", "kind"], name="movement_happens_once"),
            models.UniqueConstraint(
                fields=["stock", "reference"],
                condition=Q(kind__in=["DEDUCTED", "RELEASED"]),
                name="movement_reservation_ends_once",
            ),
            models.CheckConstraint(
                condition=Q(quantity__gt=0) | Q(kind="ADJUSTED"), name="movement_quantity_is_positive"
            ),
            models.CheckConstraint(
                condition=~Q(kind="ADJUSTED") | ~Q(reason=""), name="movement_adjustment_has_a_reason"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["RECEIVED", "ADJUSTED", "RESERVED", "RELEASED", "DEDUCTED", "RETURNED"]),
                name="movement_kind_is_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.quantity} for {self.reference}"
