"""The admin's pages of privacy: a customer's data are erased, and orders in the archive are found."""

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.email_addresses import EmailAddressField
from accounts.models import User
from accounts.pseudonyms import make_pseudonym
from backoffice.read_only import ReadOnlyAdmin
from orders.models import ArchivedOrder
from privacy.erasure import (
    Counts,
    DisputeIsOpen,
    ErasureRefused,
    IsStaff,
    OrderIsPending,
    RefundIsOpen,
    erase_customer,
    find_left,
)
from privacy.models import Erasure

REFUSALS = {
    OrderIsPending.code: _("These orders have not ended yet: %(orders)s."),
    RefundIsOpen.code: _("Money of these orders is on its way back: %(orders)s."),
    DisputeIsOpen.code: _("Disputes about these orders are open: %(orders)s."),
    IsStaff.code: _("The account is one of staff. End its rights first."),
}


class ErasureForm(forms.Form):
    """As long as `confirmed` is not ticked, nothing is erased, and the page says what would be."""

    email = EmailAddressField(label=_("Email of the customer"))
    confirmed = forms.BooleanField(
        label=_("Erase now"), required=False, help_text=_("This can't be undone. Without it you see what there is.")
    )

    def erase(self, *, actor: User, dry_run: bool) -> Counts | None:
        """Return what is erased, or would be. None: nothing is, and the form's errors say why."""
        try:
            return erase_customer(email=self.cleaned_data["email"], actor=actor, dry_run=dry_run)
        except ErasureRefused as refusal:
            self.add_error("email", REFUSALS[refusal.code] % {"orders": str(refusal)})
            return None


@admin.register(Erasure)
class ErasureAdmin(ReadOnlyAdmin):
    """Whose data they were stands nowhere: who knows an email finds its pseudonym by the search."""

    list_display = ["erased_at", "customer", "actor", "counts"]
    list_select_related = ["actor"]
    sortable_by = ()
    search_fields = ["customer__exact"]
    search_help_text = _("The email that the customer had, or the pseudonym.")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("privacy.add_erasure")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> Any:
        try:
            address = EmailAddressField().clean(search_term) if search_term else ""
        except forms.ValidationError:
            address = search_term
        return super().get_search_results(request, queryset, find_name(address))

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form, about = ErasureForm(request.POST or None), gettext("Amounts, products and the provider's ids stay.")
        if form.is_valid():
            is_confirmed = form.cleaned_data["confirmed"]
            counts = form.erase(actor=cast(User, request.user), dry_run=not is_confirmed)
            if counts is not None and is_confirmed:
                messages.success(request, describe_counts(counts))
                if left := find_left(email=form.cleaned_data["email"]):
                    text = gettext("Placed meanwhile: %(orders)s. Erase again once they have ended.")
                    messages.warning(request, text % {"orders": ", ".join(left)})
                return redirect("admin:privacy_erasure_changelist")
            if counts is not None:
                about = gettext("Nothing was erased yet. %(what)s") % {"what": describe_counts(counts)}
        back = reverse("admin:privacy_erasure_changelist")
        # Without "Erase now" the button erases nothing.
        texts = {"title": gettext("Erase a customer's data"), "about": about, "submit": gettext("Continue")}
        return self.render_page(request, "admin/form.html", **texts, form=form, back=back)


@admin.register(ArchivedOrder)
class ArchivedOrderAdmin(ReadOnlyAdmin):
    list_display = ["code", "file", "archived_at"]
    sortable_by = ()
    search_fields = ["code__exact"]
    search_help_text = _("The whole code of an order.")
    ordering = ["-archived_at"]


def find_name(text: str) -> str:
    """The pseudonym of an address; whatever is a pseudonym already, or nothing, as it is."""
    is_address = "@" in text and not Erasure.objects.filter(customer=text).exists()
    return make_pseudonym(text) if is_address else text


def describe_counts(counts: Counts) -> str:
    if not counts:
        return gettext("There is nothing of this customer.")
    orders, others = counts.get("orders", 0), sum(counts.values()) - counts.get("orders", 0)
    words = ngettext(
        "%(orders)s order and %(others)s other rows.", "%(orders)s orders and %(others)s other rows.", orders
    )
    return words % {"orders": orders, "others": others}
