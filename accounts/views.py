"""Signing up, and showing that the email is one's own. Log-in, log-out and passwords are Django's views: see urls."""

import logging
from typing import cast

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import PasswordResetForm
from django.contrib.auth.views import PasswordResetView
from django.core.mail import send_mail
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.forms import SignUpForm, explain_limit
from accounts.limits import limit_mail
from accounts.models import User
from accounts.services import LinkInvalid, make_verification_token, verify_email
from rate_limit import LimitReached

logger = logging.getLogger(__name__)


@sensitive_post_parameters("password1", "password2")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_up(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect("order-history")
    form = SignUpForm(request.POST or None)
    if form.is_valid():
        try:
            with transaction.atomic():
                user = cast(User, form.save())
        except IntegrityError:  # a double click was quicker
            return redirect("log-in")
        login(request, user)
        _mail_link(request, user)
        return redirect("order-history")
    return render(request, "accounts/sign_up.html", {"form": form})


class ResetPassword(PasswordResetView):
    template_name = "accounts/password_reset.html"
    email_template_name = "accounts/password_reset.txt"
    subject_template_name = "accounts/password_reset_subject.txt"
    success_url = reverse_lazy("password-reset-sent")

    def form_valid(self, form: PasswordResetForm) -> HttpResponse:
        try:
            limit_mail(kind="reset", email=form.cleaned_data["email"].lower(), ip=self.request.META["REMOTE_ADDR"])
        except LimitReached as limit:  # whether there is such an account or not: the answer must not tell
            form.add_error(None, explain_limit(limit))
            return self.form_invalid(form)
        return super().form_valid(form)


@login_required
@require_POST
def send_verification(request: HttpRequest) -> HttpResponse:
    _mail_link(request, cast(User, request.user))
    return redirect("order-history")


@login_required
@require_safe
def verify(request: HttpRequest, *, token: str) -> HttpResponse:
    try:
        verify_email(user=cast(User, request.user), token=token)
    except LinkInvalid:
        messages.error(request, _("That link is too old, or for another account. Ask for a new one here."))
    else:
        messages.success(request, _("Your email address is confirmed."))
    return redirect("order-history")


def _mail_link(request: HttpRequest, user: User) -> None:
    link = request.build_absolute_uri(reverse("verify-email", args=[make_verification_token(user)]))
    text = render_to_string("accounts/verify_email.txt", {"link": link})
    try:
        limit_mail(kind="verify", email=user.email, ip=request.META["REMOTE_ADDR"])
        send_mail(_("Confirm your email address"), text, None, [user.email])
    except (OSError, ValueError):  # smtplib's too; an address of old that no server takes
        logger.exception("the verification mail could not be sent")
        messages.error(request, _("We could not send you the link just now. Ask for it again here later."))
        return
    except LimitReached as limit:
        messages.error(request, explain_limit(limit))
        return
    messages.info(request, _("We sent a link to %(email)s. Open it to confirm the address.") % {"email": user.email})
