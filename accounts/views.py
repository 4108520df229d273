"""Pages to sign up and to ask for links by mail. The pages to log in and out are Django's own views: see urls."""

from typing import cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import SetPasswordForm
from django.contrib.auth.views import PasswordResetConfirmView
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.forms import EmailAddressForm, explain_limit
from accounts.mails import request_mail
from accounts.models import AccountMail, User
from accounts.services import LinkInvalid, read_sign_up_token, verify_email
from rate_limit import LimitReached

Kind = AccountMail.Kind


@require_http_methods(["GET", "HEAD", "POST"])
def sign_up(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect(settings.LOGIN_REDIRECT_URL)
    return _ask_for_link(request, kind=Kind.SIGN_UP, template="accounts/sign_up.html", sent="sign-up-sent")


@require_http_methods(["GET", "HEAD", "POST"])
def reset_password(request: HttpRequest) -> HttpResponse:
    return _ask_for_link(request, kind=Kind.RESET, template="accounts/password_reset.html", sent="password-reset-sent")


class ChoosePasswordView(PasswordResetConfirmView):
    template_name = "accounts/password_reset_confirm.html"
    success_url = reverse_lazy("log-in")

    def form_valid(self, form: "SetPasswordForm[User]") -> HttpResponse:
        messages.success(self.request, _("Your password is changed. Log in with the new one."))
        return super().form_valid(form)


@sensitive_post_parameters("new_password1", "new_password2")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def create_account(request: HttpRequest, *, token: str) -> HttpResponse:
    """Create the account of a link's address. Whoever has the link reads its mails, so the email is verified."""
    try:
        email = read_sign_up_token(token)
    except LinkInvalid:
        return render(request, "accounts/create_account.html")
    if User.objects.filter(email=email).exists():
        return _send_to_log_in(request)
    form = SetPasswordForm(User(email=email, verified_email=email), request.POST or None)
    if not form.is_valid():
        return render(request, "accounts/create_account.html", {"form": form, "email": email})
    try:
        with transaction.atomic():
            user = form.save()
    except IntegrityError:  # another click has created it
        return _send_to_log_in(request)
    login(request, user)
    return redirect(settings.LOGIN_REDIRECT_URL)


@login_required
@require_POST
def send_verification(request: HttpRequest) -> HttpResponse:
    email = cast(User, request.user).email
    try:
        _request_mail(request, kind=Kind.VERIFY, email=email)
    except LimitReached as limit:
        messages.error(request, explain_limit(limit))
    else:
        messages.info(request, _("We sent a link to %(email)s. Open it to confirm the address.") % {"email": email})
    return redirect(settings.LOGIN_REDIRECT_URL)


@login_required
@require_safe
def verify(request: HttpRequest, *, token: str) -> HttpResponse:
    try:
        verify_email(user=cast(User, request.user), token=token)
    except LinkInvalid:
        messages.error(request, _("That link is too old, or for another account. Ask for a new one here."))
    else:
        messages.success(request, _("Your email address is confirmed."))
    return redirect(settings.LOGIN_REDIRECT_URL)


def _ask_for_link(request: HttpRequest, *, kind: AccountMail.Kind, template: str, sent: str) -> HttpResponse:
    # Nothing here depends on whether the address has an account: neither the answer nor its time may tell.
    form = EmailAddressForm(request.POST or None)
    if form.is_valid():
        try:
            _request_mail(request, kind=kind, email=form.cleaned_data["email"])
        except LimitReached as limit:
            form.add_error(None, explain_limit(limit))
        else:
            return redirect(sent)
    return render(request, template, {"form": form})


def _request_mail(request: HttpRequest, *, kind: AccountMail.Kind, email: str) -> None:
    # The visitor writes the Host header, so it is used only if the shop does not know its own URL.
    shop_url = "" if settings.SHOP_URL else request.build_absolute_uri("/").rstrip("/")
    request_mail(kind=kind, email=email, ip=request.META["REMOTE_ADDR"], shop_url=shop_url)


def _send_to_log_in(request: HttpRequest) -> HttpResponse:
    messages.info(request, _("You have an account already. Log in."))
    return redirect("log-in")
