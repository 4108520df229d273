"""The admin's pages of differences from the providers' ledgers: what differs, and the buttons that put it right."""

from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from audit.models import Difference
from audit.remedies import DifferenceIsResolved, NotRemedied
from backoffice.difference_actions import REMEDIES, Remedy
from backoffice.note_forms import NoteForm
from backoffice.read_only import ReadOnlyAdmin
from orders.models import Order
from payments.gateway import GatewayUnavailable


class OpenFilter(admin.SimpleListFilter):
    """Open ones, unless the reader asks for others: they are what staff come for."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("open", _("Open")), ("resolved", _("Resolved"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "open":
                return queryset.unresolved()
            case "resolved":
                return queryset.exclude(resolved_at=None)
        return None  # all


@admin.register(Difference)
class DifferenceAdmin(ReadOnlyAdmin):
    list_display = ["last_seen_at", "kind", "reference", "there", "here", "gateway", "provider_id", "state"]
    list_filter = [OpenFilter, "kind", "gateway", "resolution"]
    sortable_by = ()
    search_fields = ["reference__exact", "provider_id__exact"]
    search_help_text = _("The whole code of the order, or the whole id at the provider.")
    fieldsets = [
        (None, {"fields": ["kind", "reference", "there", "here"]}),
        (_("Provider"), {"fields": ["gateway", "provider_id", "occurred_at"]}),
        (_("Times"), {"fields": ["first_seen_at", "last_seen_at"]}),
        (_("Remedy"), {"fields": ["state", "refund_requested_at", "last_error", "resolved_at", "actor", "note"]}),
    ]

    @admin.display(description=_("at the provider"))
    def there(self, difference: Difference) -> str:
        return difference.there

    @admin.display(description=_("here"))
    def here(self, difference: Difference) -> str:
        return difference.here

    @admin.display(description=_("state"))
    def state(self, difference: Difference) -> str | Promise:
        if difference.resolution:
            return difference.get_resolution_display()
        return _("Being refunded") if difference.refund_requested_at else _("Open")

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("audit.resolve_difference")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.remedy)
        return [path("<int:pk>/remedy/<slug:name>/", view, name="audit_difference_remedy"), *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        difference = context["original"]
        may_act = self.has_resolve_permission(request)
        context["remedies"] = [remedy for remedy in REMEDIES.values() if may_act and remedy.is_offered(difference)]
        context["order"] = Order.objects.filter(code=difference.reference).first()
        return super().render_change_form(request, context, *args, **kwargs)

    def remedy(self, request: HttpRequest, pk: int, name: str) -> HttpResponse:
        """Ask first, and for a note; then do it."""
        if not self.has_resolve_permission(request):
            raise PermissionDenied
        remedy, difference = REMEDIES.get(name), Difference.objects.filter(pk=pk).first()
        if remedy is None or difference is None:
            raise Http404
        form = NoteForm(request.POST if request.method == "POST" else None, required=True)
        if not form.is_valid():
            return self._ask(request, difference, remedy, form)
        self._act(request, difference, remedy, note=form.cleaned_data["note"])
        return redirect("admin:audit_difference_change", pk)

    def _ask(self, request: HttpRequest, difference: Difference, remedy: Remedy, form: NoteForm) -> HttpResponse:
        context = {
            "original": difference,
            "has_view_permission": True,
            "remedy": remedy,
            "form": form,
            "there": self.there(difference),
            "here": self.here(difference),
        }
        return self.render_page(request, "admin/audit/difference/confirmation.html", title=remedy.title, **context)

    def _act(self, request: HttpRequest, difference: Difference, remedy: Remedy, *, note: str) -> None:
        try:
            remedy.act(pk=difference.pk, actor=cast(User, request.user), note=note)
        except DifferenceIsResolved as resolved:
            text = gettext("Not changed, it is resolved already: %(how)s.") % {"how": resolved}
            self.message_user(request, text, messages.WARNING)
        except NotRemedied as refusal:
            self.message_user(request, gettext("Not changed: %(why)s") % {"why": refusal}, messages.ERROR)
        except GatewayUnavailable as error:
            text = gettext("Not changed, the provider can't be asked: %(error)s") % {"error": error}
            self.message_user(request, text, messages.ERROR)
        else:
            self.message_user(request, str(remedy.done))
