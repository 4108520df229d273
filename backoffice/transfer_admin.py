"""The admin's pages of bank transfers: staff record what arrived, and what they sent back."""

from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from backoffice.order_status import ARCHIVED
from backoffice.read_only import ReadOnlyAdmin
from backoffice.transfer_forms import ArrivalForm, BankForm, SentBackForm
from money import format_money
from orders.models import Order
from orders.transfers import Recorded
from payments.models import Transfer, TransferRefund


class BankAdmin(ReadOnlyAdmin):
    """Rows that staff write by a form of their own, one each time."""

    def show_form(self, request: HttpRequest, form: BankForm, *, about: str = "") -> HttpResponse:
        back = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        return self.render_page(request, "admin/form.html", title=form.title, about=about, back=back, form=form)


@admin.register(Transfer)
class TransferAdmin(BankAdmin):
    list_display = ["recorded_at", "reference", "money", "state", "provider_id", "arrived_on", "actor"]
    list_filter = ["recorded_at"]
    list_select_related = ["actor"]
    sortable_by = ["recorded_at", "provider_id"]
    search_fields = ["reference__startswith", "provider_id__exact"]
    search_help_text = _("The order's code, from its beginning, or the bank's whole reference.")
    ordering = ["-recorded_at"]
    fields = ["reference", "money", "state", "provider_id", "arrived_on", "recorded_at", "actor", "note"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Transfer]:
        return Transfer.objects.prefetch_related("refunds")

    @admin.display(description=_("amount"))
    def money(self, transfer: Transfer) -> str:
        return format_money(transfer.amount, transfer.currency)

    @admin.display(description=_("state"))
    def state(self, transfer: Transfer) -> str:
        refunds = transfer.refunds.all()
        if not refunds:
            return gettext("pays the order")
        sent = all(refund.sent_on for refund in refunds)
        return gettext("sent back") if sent else gettext("to be sent back")

    def has_record_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("payments.add_transfer")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.record)
        return [path("record/", view, name="payments_transfer_record"), *super().get_urls()]

    def record(self, request: HttpRequest) -> HttpResponse:
        if not self.has_record_permission(request):
            raise PermissionDenied
        form = ArrivalForm(request.POST or None, initial={"reference": request.GET.get("reference", "")})
        if form.is_valid() and (recorded := form.save(actor=cast(User, request.user))):
            self._tell(request, recorded)
            return redirect("admin:payments_transfer_changelist")
        return self.show_form(request, form)

    def _tell(self, request: HttpRequest, recorded: Recorded) -> None:
        names = {"code": recorded.transfer.reference, "money": self.money(recorded.transfer)}
        if not recorded.created:
            text = gettext("This transfer for %(code)s was recorded before: nothing was changed.") % names
            self.message_user(request, text, messages.INFO)
        elif recorded.pays:
            text = gettext("%(money)s for %(code)s is recorded. The order is being confirmed.") % names
            self.message_user(request, text, messages.SUCCESS)
        else:
            text = gettext("%(money)s for %(code)s is recorded, but does not pay it: send it back.") % names
            self.message_user(request, f"{text} {explain_surplus(recorded.transfer)}", messages.WARNING)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        may_record = {"may_record": self.has_record_permission(request)}
        return super().changelist_view(request, {**may_record, **(extra_context or {})})


class SentFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "sent"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("0", _("to be sent back")), ("1", _("sent back"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[TransferRefund]) -> QuerySet[TransferRefund]:
        chosen = {"0": Q(sent_on=None), "1": Q(sent_on__isnull=False)}
        return queryset.filter(chosen.get(self.value() or "", Q()))


@admin.register(TransferRefund)
class TransferRefundAdmin(BankAdmin):
    list_display = ["requested_at", "reference", "money", "why", "arrived_as", "sent_on", "provider_id", "actor"]
    list_filter = [SentFilter, "requested_at"]
    list_select_related = ["transfer", "actor"]
    sortable_by = ["requested_at"]
    search_fields = ["transfer__reference__startswith", "transfer__provider_id__exact", "provider_id__exact"]
    search_help_text = _("The order's code, from its beginning, or the bank's whole reference.")
    ordering = ["requested_at"]
    fields = ["reference", "money", "why", "arrived_as", "requested_at", "sent_on", "provider_id", "actor"]

    @admin.display(description=_("order"))
    def reference(self, refund: TransferRefund) -> str:
        return refund.transfer.reference

    @admin.display(description=_("amount"))
    def money(self, refund: TransferRefund) -> str:
        return format_money(refund.amount, refund.transfer.currency)

    @admin.display(description=_("why"))
    def why(self, refund: TransferRefund) -> str:
        return explain_surplus(refund.transfer)

    @admin.display(description=_("arrived as"))
    def arrived_as(self, refund: TransferRefund) -> str:
        return refund.transfer.provider_id

    def has_send_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("payments.change_transferrefund")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.send)
        return [path("<int:pk>/send/", view, name="payments_transferrefund_send"), *super().get_urls()]

    def send(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_send_permission(request):
            raise PermissionDenied
        refund = get_object_or_404(TransferRefund.objects.select_related("transfer"), pk=pk)
        form = SentBackForm(request.POST or None)
        if form.is_valid() and form.save(refund=refund, actor=cast(User, request.user)):
            text = gettext("Recorded: %(money)s of %(code)s was sent back.")
            names = {"money": self.money(refund), "code": refund.transfer.reference}
            self.message_user(request, text % names, messages.SUCCESS)
            return redirect("admin:payments_transferrefund_changelist")
        about = gettext("%(money)s, which arrived for %(code)s as %(bank)s.")
        names = {"money": self.money(refund), "code": refund.transfer.reference, "bank": refund.transfer.provider_id}
        return self.show_form(request, form, about=about % names)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context["may_send"] = self.has_send_permission(request) and context["original"].sent_on is None
        return super().render_change_form(request, context, *args, **kwargs)


def explain_surplus(transfer: Transfer) -> str:
    """Say why a transfer, or a part of it, goes back, as its order stands now."""
    order = Order.objects.select_related("payment").filter(code=transfer.reference).first()
    if order is None:
        return str(ARCHIVED)
    if not order.payment.waits_for_money:
        return gettext("The order waits for no money: it is %(status)s.") % {"status": order.get_status_display()}
    difference = transfer.amount - order.total
    names = {"money": format_money(abs(difference), transfer.currency)}
    if difference < 0:
        return gettext("It is %(money)s too little. The order waits for the whole amount.") % names
    return gettext("It is %(money)s too much. The order waits for the exact amount.") % names
