"""The admin's pages of stock. Stock changes only by a movement, which says who moved it and why."""

from typing import Any, cast

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from backoffice.order_links import link_to_order
from backoffice.read_only import ReadOnlyAdmin
from backoffice.stock_forms import AdjustForm, MovementForm, ReceiveForm, StockFileForm
from catalog.models import Stock, StockMovement

MOVE_FORM = "admin/catalog/stock/move_form.html"
MAX_MOVEMENTS = 50  # on the page of a stock; the ledger has them all


class AvailableFilter(admin.SimpleListFilter):
    title = _("what is left")
    parameter_name = "available"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        low = gettext("%(units)s available or fewer") % {"units": settings.SHOP_LOW_STOCK}
        return [("low", low), ("none", gettext("None available"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "low":
                return queryset.low(units=settings.SHOP_LOW_STOCK)
            case "none":
                return queryset.low(units=0)
        return None


@admin.register(Stock)
class StockAdmin(ReadOnlyAdmin):
    list_display = ["sku", "name", "on_hand", "reserved", "available"]
    list_filter = [AvailableFilter, "product__active"]
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
        move = self.admin_site.admin_view(self.move_stock)
        move_by_file = self.admin_site.admin_view(self.move_by_file)
        return [
            path("move/", move_by_file, name="catalog_stock_move"),
            path("<int:pk>/receive/", move, {"form_class": ReceiveForm}, name="catalog_stock_receive"),
            path("<int:pk>/adjust/", move, {"form_class": AdjustForm}, name="catalog_stock_adjust"),
            *super().get_urls(),
        ]

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
        back = reverse("admin:catalog_stock_change", args=[stock.pk])
        context = {"subtitle": stock.product, "stock": stock, "form": form, "back": back}
        return self.render_page(request, MOVE_FORM, title=form.title, **context)

    def move_by_file(self, request: HttpRequest) -> HttpResponse:
        if not self.has_move_permission(request):
            raise PermissionDenied
        form = StockFileForm(request.POST or None, request.FILES or None)
        if form.is_valid() and (rows := form.save(actor=cast(User, request.user))):
            text = ngettext("Moved the stock of %(rows)s product.", "Moved the stock of %(rows)s products.", rows)
            messages.success(request, text % {"rows": rows})
            return redirect("admin:catalog_stock_changelist")
        back = reverse("admin:catalog_stock_changelist")
        return self.render_page(request, MOVE_FORM, title=gettext("Move stock by file"), form=form, back=back)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        can_move = {"can_move": self.has_move_permission(request)}
        return super().changelist_view(request, {**can_move, **(extra_context or {})})

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if stock := context["original"]:
            context["can_move"] = self.has_move_permission(request)
            movements = stock.movements.select_related("actor").order_by("-pk")[:MAX_MOVEMENTS]
            context["movements"] = [(movement, link_to_order(movement.reference)) for movement in movements]
        return super().render_change_form(request, context, *args, **kwargs)


@admin.register(StockMovement)
class StockMovementAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "sku", "kind", "quantity", "order_link", "reason", "actor"]
    list_filter = ["kind", "created_at"]
    list_select_related = ["stock__product", "actor"]
    sortable_by = []  # newest first is the only order that has an index
    search_fields = ["reference__exact"]
    search_help_text = _("The whole reference, such as an order's code.")
    ordering = ["-pk"]
    fields = ["created_at", "stock", "kind", "quantity", "order_link", "reason", "actor"]

    @admin.display(description=_("reference"))
    def order_link(self, movement: StockMovement) -> str:
        return link_to_order(movement.reference)

    @admin.display(description=_("SKU"))
    def sku(self, movement: StockMovement) -> str:
        return movement.stock.product.sku
