"""What staff see of products and stock. Stock changes only by a movement, which says who moved it and why."""

from typing import Any, cast

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from backoffice.catalog_forms import AdjustForm, MovementForm, ProductForm, ReceiveForm, StockFileForm
from backoffice.read_only import ReadOnlyAdmin, SearchAdmin
from catalog.models import Product, Stock, StockMovement, StockQuerySet
from money import format_money

LEDGER_LENGTH = 50  # movements on the page of a stock


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
    fields = ["sku", "name", "slug", "description", "price", "currency", "max_quantity", "active", "available"]
    readonly_fields = ["available"]

    @admin.display(description=_("price"), ordering="price")
    def money(self, product: Product) -> str:
        return format_money(product.price, product.currency) if product.price else gettext("no price")

    @admin.display(description=_("available"), ordering=F("stock__on_hand") - F("stock__reserved"))
    def available(self, product: Product) -> str | None:
        stock: Stock | None = getattr(product, "stock", None)  # none yet while the product is being added
        if stock is None:
            return None
        page = reverse("admin:catalog_stock_change", args=[stock.pk])
        return format_html('<a href="{}">{}</a>', page, stock.available)

    def get_fields(self, request: HttpRequest, obj: Product | None = None) -> Any:
        fields = super().get_fields(request, obj)
        return [*fields, "seen"] if obj and self.has_change_permission(request, obj) else fields

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Product | None:
        product: Product | None = super().get_object(request, object_id, from_field)
        if product and request.method == "POST":  # in a transaction, as the admin's posts are
            return Product.objects.select_for_update(no_key=True).get(pk=product.pk)
        return product

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"currency": settings.SHOP_CURRENCY, **super().get_changeform_initial_data(request)}

    def save_model(self, request: HttpRequest, obj: Product, form: "ModelForm[Product]", change: bool) -> None:
        super().save_model(request, obj, form, change)
        Stock.objects.get_or_create(product=obj)

    def has_delete_permission(self, request: HttpRequest, obj: Product | None = None) -> bool:
        return False


class LeftFilter(admin.SimpleListFilter):
    title = _("what is left")
    parameter_name = "left"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        low = gettext("%(units)s available or fewer") % {"units": settings.SHOP_LOW_STOCK}
        return [("low", low), ("none", gettext("None available"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Stock]) -> QuerySet[Stock]:
        units = {"low": settings.SHOP_LOW_STOCK, "none": 0}.get(str(self.value()))
        return queryset if units is None else cast(StockQuerySet, queryset).low(units=units)


@admin.register(Stock)
class StockAdmin(ReadOnlyAdmin):
    list_display = ["sku", "name", "on_hand", "reserved", "available"]
    list_filter = [LeftFilter, "product__active"]
    list_select_related = ["product"]
    search_fields = ["product__sku__istartswith", "product__name"]
    search_help_text = _("The SKU, from its beginning, or words of the name.")
    ordering = ["product__sku"]
    fields = ["product", "on_hand", "reserved", "available"]

    @admin.display(description=_("SKU"), ordering="product__sku")
    def sku(self, stock: Stock) -> str:
        return stock.product.sku

    @admin.display(description=_("name"), ordering="product__name")
    def name(self, stock: Stock) -> str:
        return stock.product.name

    @admin.display(description=_("available"), ordering=F("on_hand") - F("reserved"))
    def available(self, stock: Stock) -> int:
        return stock.available

    def has_move_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("catalog.change_stock")

    def get_urls(self) -> list[URLPattern]:
        def page(name: str, form_class: type[MovementForm]) -> URLPattern:
            view = self.admin_site.admin_view(self.move_stock)
            return path(f"<int:pk>/{name}/", view, {"form_class": form_class}, name=f"catalog_stock_{name}")

        by_file = path("move/", self.admin_site.admin_view(self.move_by_file), name="catalog_stock_move")
        return [by_file, page("receive", ReceiveForm), page("adjust", AdjustForm), *super().get_urls()]

    def move_stock(self, request: HttpRequest, pk: int, form_class: type[MovementForm]) -> HttpResponse:
        if not self.has_move_permission(request):
            raise PermissionDenied
        stock = get_object_or_404(Stock.objects.select_related("product"), pk=pk)
        form = form_class(request.POST or None)
        if form.is_valid() and (movement := form.save(stock=stock, actor=cast(User, request.user))):
            stock.refresh_from_db(fields=["on_hand", "reserved"])
            text = gettext("Moved %(quantity)s. On hand now: %(on_hand)s.")
            messages.success(request, text % {"quantity": f"{movement.quantity:+}", "on_hand": stock.on_hand})
            return redirect("admin:catalog_stock_change", stock.pk)
        context = {"title": form.title, "subtitle": stock.product, "stock": stock, "form": form}
        return self._show_form(request, context)

    def move_by_file(self, request: HttpRequest) -> HttpResponse:
        if not self.has_move_permission(request):
            raise PermissionDenied
        form = StockFileForm(request.POST or None, request.FILES or None)
        if form.is_valid() and (rows := form.save(actor=cast(User, request.user))):
            text = ngettext("Moved the stock of %(rows)s product.", "Moved the stock of %(rows)s products.", rows)
            messages.success(request, text % {"rows": rows})
            return redirect("admin:catalog_stock_changelist")
        return self._show_form(request, {"title": gettext("Move stock by file"), "form": form})

    def _show_form(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "original": context["title"],  # where the admin's own breadcrumbs end
            "opts": self.opts,
            "media": self.media,
            "has_view_permission": self.has_view_permission(request),
            **context,
        }
        return TemplateResponse(request, "admin/catalog/stock/move_form.html", context)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        can_move = {"can_move": self.has_move_permission(request)}
        return super().changelist_view(request, {**can_move, **(extra_context or {})})

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if stock := context["original"]:
            context["can_move"] = self.has_move_permission(request)
            context["movements"] = stock.movements.select_related("actor").order_by("-pk")[:LEDGER_LENGTH]
        return super().render_change_form(request, context, *args, **kwargs)


@admin.register(StockMovement)
class StockMovementAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "sku", "kind", "quantity", "reference", "reason", "actor"]
    list_filter = ["kind", "created_at"]
    list_select_related = ["stock__product", "actor"]
    sortable_by = []  # newest first, as the index has them
    search_fields = ["reference__exact"]
    search_help_text = _("The whole reference, such as an order's code.")
    ordering = ["-pk"]
    fields = ["created_at", "stock", "kind", "quantity", "reference", "reason", "actor"]

    @admin.display(description=_("SKU"))
    def sku(self, movement: StockMovement) -> str:
        return movement.stock.product.sku
