"""The admin's pages of disputes. Staff answer them at the provider, and change nothing here."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from backoffice.order_links import link_to_order
from backoffice.read_only import ReadOnlyAdmin
from money import format_money
from payments.dispute_models import Dispute


@admin.register(Dispute)
class DisputeAdmin(ReadOnlyAdmin):
    list_display = ["opened_at", "order_link", "money", "status", "reason", "respond_by", "provider_id"]
    list_filter = ["status", "gateway", "opened_at"]
    sortable_by = ()
    search_fields = ["payment__reference__exact", "provider_id__exact"]
    search_help_text = _("The whole code of the order, or the whole id at the provider.")
    ordering = ["-opened_at"]
    fieldsets = [
        (None, {"fields": ["order_link", "money", "status", "reason", "respond_by"]}),
        (_("Provider"), {"fields": ["gateway", "provider_id", "payment"]}),
        (_("Times"), {"fields": ["opened_at", "closed_at", "checked_at"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Dispute]:
        disputes: QuerySet[Dispute] = super().get_queryset(request)
        return disputes.select_related("payment")

    @admin.display(description=_("reference"))
    def order_link(self, dispute: Dispute) -> str:
        return link_to_order(dispute.payment.reference)

    @admin.display(description=_("amount"))
    def money(self, dispute: Dispute) -> str:
        return format_money(dispute.amount, dispute.currency)
