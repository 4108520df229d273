"""The admin's pages of webhook endpoints: who is told of events, their secrets, and a test."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from backoffice.read_only import SearchAdmin
from events_out.addresses import AddressRefused, check_url
from events_out.endpoints import change_endpoint, create_endpoint, rotate_secret, send_test
from events_out.event_types import CHOICES
from events_out.models import Endpoint


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's own is not generic
    types = forms.MultipleChoiceField(label=_("Events"), choices=CHOICES, widget=forms.CheckboxSelectMultiple)

    class Meta:
        model = Endpoint
        fields = ["name", "url", "types", "is_on"]

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            check_url(url)
        except AddressRefused as refusal:
            raise forms.ValidationError(str(refusal)) from None
        return url


@admin.register(Endpoint)
class EndpointAdmin(SearchAdmin):
    form = EndpointForm
    list_display = ["name", "url", "state", "failing_since", "created_at"]
    list_filter = ["is_on"]
    sortable_by = ()
    search_fields = ["name", "url"]
    readonly_fields = ["state", "failing_since", "failures", "resting_until", "old_secret_until", "created_at"]
    actions = ["rotate", "test"]
    show_full_result_count = False

    def get_fieldsets(self, request: HttpRequest, obj: Endpoint | None = None) -> Any:
        if obj is None:
            return [(None, {"fields": ["name", "url", "types"]})]
        return [
            (None, {"fields": ["name", "url", "types", "is_on"]}),
            (_("Working"), {"fields": ["state", "failing_since", "failures", "resting_until"]}),
            (_("Times"), {"fields": ["created_at", "old_secret_until"]}),
        ]

    def has_delete_permission(self, request: HttpRequest, obj: Endpoint | None = None) -> bool:
        return False  # it is switched off: what was delivered to it stays in the log

    def save_model(self, request: HttpRequest, obj: Endpoint, form: EndpointForm, change: bool) -> None:
        if change:
            change_endpoint(pk=obj.pk, **form.cleaned_data)
        else:
            created = create_endpoint(**form.cleaned_data)
            obj.pk, obj.secret = created.pk, created.secret

    def response_add(self, request: HttpRequest, obj: Endpoint, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._show_secrets(request, [obj])

    @admin.display(description=_("state"))
    def state(self, endpoint: Endpoint) -> Promise:
        if not endpoint.is_on:
            return _("Off")
        if endpoint.resting_until and endpoint.resting_until > timezone.now():
            return _("Resting after a failure")
        return _("Failing") if endpoint.failures else _("On")

    @admin.action(description=_("Give selected endpoints new secrets"), permissions=["change"])
    def rotate(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> HttpResponse:
        rotated = [rotate_secret(pk=pk) for pk in queryset.values_list("pk", flat=True)]
        for endpoint in rotated:
            self.log_change(request, endpoint, "New secret.")
        return self._show_secrets(request, rotated)

    @admin.action(description=_("Send a test to selected endpoints"), permissions=["change"])
    def test(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> None:
        for endpoint in queryset:
            send_test(pk=endpoint.pk)
            text = gettext("A test for %(name)s is on its way: its delivery says what came of it.")
            self.message_user(request, text % {"name": endpoint.name})

    def _show_secrets(self, request: HttpRequest, endpoints: Iterable[Endpoint]) -> HttpResponse:
        """Not in a message, which would keep them in the session or in a cookie."""
        words = gettext("Copy each secret now. It is not shown again.")
        secrets = [(endpoint.name, endpoint.secret) for endpoint in endpoints]
        return self.render_page(
            request, "admin/secrets.html", title=gettext("New secrets"), words=words, secrets=secrets
        )
