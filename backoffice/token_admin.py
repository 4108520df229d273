"""The admin's pages of API tokens: made once, shown once, revoked, never changed."""

from typing import Any, cast

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiToken, User
from accounts.tokens import MAX_DAYS, create_token, revoke_token
from backoffice.read_only import ReadOnlyAdmin


class NewTokenForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's own is not generic
    scopes = forms.MultipleChoiceField(
        label=_("Scopes"), choices=ApiToken.Scope.choices, widget=forms.CheckboxSelectMultiple, required=False
    )
    days = forms.IntegerField(
        label=_("Days"),
        min_value=1,
        max_value=MAX_DAYS,
        required=False,
        help_text=_("For which it is good. Empty: for ever."),
    )

    class Meta:
        model = ApiToken
        fields = ["name", "scopes"]


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    form = NewTokenForm
    list_display = ["name", "scope_list", "created_at", "created_by", "expires_at", "last_used_at", "revoked_at"]
    list_select_related = ["created_by"]
    search_fields = ["name"]
    actions = ["revoke"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.add_apitoken")

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.change_apitoken")

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> Any:
        return [*self.list_display] if obj else ["name", "scopes", "days"]

    @admin.display(description=_("scopes"))
    def scope_list(self, token: ApiToken) -> str:
        return ", ".join(token.scopes) or "-"

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        asked = form.cleaned_data
        row, secret = create_token(**asked, actor=cast(User, request.user))
        obj.pk, obj.secret = row.pk, secret  # type: ignore[attr-defined]  # for response_add alone

    def response_add(self, request: HttpRequest, obj: ApiToken, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the token. A message would keep it in the session or in a cookie."""
        title = gettext("The token of %(name)s") % {"name": obj.name}
        words = gettext("Copy the token now. It is stored nowhere, so it can't be shown again.")
        use = gettext("The program sends it with each request, in this header: Authorization: Bearer TOKEN")
        secrets = [(obj.name, obj.secret)]  # type: ignore[attr-defined]
        return self.render_page(request, "admin/secrets.html", title=title, words=words, secrets=secrets, use=use)

    @admin.action(description=_("Revoke selected tokens"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        tokens = list(queryset.filter(revoked_at=None))
        for token in tokens:
            revoke_token(token)
        text = ngettext("%(count)s token is revoked.", "%(count)s tokens are revoked.", len(tokens))
        self.message_user(request, text % {"count": len(tokens)})
