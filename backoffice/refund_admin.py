"""The admin's page that refunds an order: it shows what is left, asks, and makes one refund for each form."""

from typing import cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils.translation import gettext

from accounts.models import User
from backoffice.order_action_admin import OrderActionAdmin
from backoffice.refund_forms import RefundForm, suggest_rest
from backoffice.refund_summary import describe_money
from money import format_money
from orders.models import Order


class RefundAdmin(OrderActionAdmin):
    """Staff who may refund orders have a page for it, one order at a time."""

    def has_refund_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("orders.refund_order")

    def may_refund(self, request: HttpRequest, order: Order) -> bool:
        """Whether the page of the order leads this reader to its refund."""
        is_refundable = order.status == Order.Status.CONFIRMED and order.refunded < order.total
        return is_refundable and self.has_refund_permission(request)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.refund_order)
        return [path("<int:pk>/refund/", view, name="orders_order_refund"), *super().get_urls()]

    def refund_order(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_refund_permission(request):
            raise PermissionDenied
        order = get_object_or_404(Order.objects.select_related("payment"), pk=pk)
        initial = suggest_rest(order) if "rest" in request.GET else {}
        form = RefundForm(request.POST or None, order=order, initial=initial)
        if form.is_valid() and (refund := form.save(actor=cast(User, request.user))):
            text = gettext("Refund %(number)s of %(amount)s is on its way.")
            amount = format_money(refund.amount, order.currency)
            messages.success(request, text % {"number": refund.number, "amount": amount})
            return redirect("admin:orders_order_change", order.pk)
        return self._show_form(request, order, form)

    def _show_form(self, request: HttpRequest, order: Order, form: RefundForm) -> HttpResponse:
        context = {"subtitle": order.code, "order": order, "form": form, "money": describe_money(order.payment)}
        return self.render_page(request, "admin/orders/order/refund_form.html", title=gettext("Refund"), **context)
