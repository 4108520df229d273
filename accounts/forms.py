"""Forms to log in and to ask for a link. They read an email address into its one form, however it is typed."""

from typing import Any

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.email_addresses import EmailAddressField
from accounts.limits import limit_log_in
from accounts.models import User
from rate_limit import LimitReached, count_minutes


class LogInForm(AuthenticationForm):
    username = EmailAddressField(
        label=_("Email"),
        widget=forms.EmailInput(attrs={"autofocus": True, "autocapitalize": "none", "autocomplete": "username"}),
    )
    error_messages = {
        **AuthenticationForm.error_messages,
        "invalid_login": _("The email or the password is wrong."),
    }

    def clean(self) -> dict[str, Any]:
        if self.request is not None and "username" in self.cleaned_data:
            count_try(email=self.cleaned_data["username"], ip=self.request.META["REMOTE_ADDR"])
        return super().clean()


class StaffLogInForm(LogInForm, AdminAuthenticationForm):
    """The log-in form of the admin."""


class PasswordForm(forms.Form):
    """Asks whoever is logged in for their password again: somebody else may have found the browser open."""

    password = forms.CharField(
        label=_("Password"), strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "current-password"})
    )

    def __init__(self, data: Any = None, *, user: User, ip: str) -> None:
        super().__init__(data)
        self.user, self.ip = user, ip

    def clean_password(self) -> str:
        count_try(email=self.user.email, ip=self.ip)
        password = str(self.cleaned_data["password"])
        if not self.user.check_password(password):
            raise forms.ValidationError(_("The password is wrong."), code="invalid_password")
        return password


def count_try(*, email: str, ip: str) -> None:
    """Count a password that somebody tries. Raises ValidationError where there were too many."""
    try:
        limit_log_in(email=email, ip=ip)
    except LimitReached as limit:
        raise forms.ValidationError(explain_limit(limit), code="too_many_tries") from limit


def explain_limit(limit: LimitReached) -> str:
    minutes = count_minutes(limit.retry_after)
    text = ngettext(
        "Too many attempts. Try again in %(count)d minute.",
        "Too many attempts. Try again in %(count)d minutes.",
        minutes,
    )
    return text % {"count": minutes}


class EmailAddressForm(forms.Form):
    """The address to mail a link to. The form does not tell whether the address has an account."""

    email = EmailAddressField(label=_("Email"), widget=forms.EmailInput(attrs={"autocomplete": "email"}))
