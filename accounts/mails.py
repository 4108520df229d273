"""Mails with links to sign up, reset a password or verify an address. Only they tell whether an account exists."""

from datetime import timedelta

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.core.mail import EmailMessage
from django.db.models.functions import Now
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django.utils.translation import gettext_lazy as _

from accounts.limits import limit_mail
from accounts.models import AccountMail, User
from accounts.services import make_sign_up_token, make_verification_token
from languages import current_language, find_language
from mail_queue import send_mails
from purge import delete_in_batches

Kind = AccountMail.Kind
SUBJECTS = {
    "sign_up": _("Create your account"),
    "account_exists": _("You have an account already"),
    "password_reset": _("Choose a new password"),
    "verify_email": _("Confirm your email address"),
}


def request_mail(*, kind: AccountMail.Kind, email: str, ip: str, shop_url: str) -> None:
    """Queue a mail to the address, whether or not the address has an account. Raises LimitReached.

    `shop_url` is the URL at which the visitor found the shop. The link uses it if SHOP_URL is not set.
    """
    limit_mail(kind=kind, email=email, ip=ip)
    AccountMail.objects.create(kind=kind, email=email, shop_url=shop_url, language=current_language())


def send_due_mails(*, limit: int = 1000) -> int:
    """Send the account mails that are due, as mail_queue.send_mails does, and return how many were sent."""
    return send_mails(AccountMail.objects.all(), make_message=make_message, limit=limit)


def delete_old_mails() -> None:
    """Delete the mails whose links are too old, sent or not, and with them the addresses."""
    age = timedelta(seconds=settings.VERIFICATION_LINK_AGE)
    delete_in_batches(AccountMail.objects.filter(created_at__lt=Now() - age), order_by="pk")


def make_message(mail: AccountMail) -> EmailMessage | None:
    """Make the mail in its language, with a new link, or return None if the address has no account that could use one.

    The Message-ID of a mail is the same each time it is made.
    """
    name, path = _choose_link(mail)
    if not path:
        return None
    shop_url = settings.SHOP_URL or mail.shop_url
    with translation.override(find_language(mail.language)):
        context = {
            "link": f"{shop_url}{path}",
            "reset_link": f"{shop_url}{reverse('password-reset')}",
            "shop_name": settings.SHOP_NAME,
            "shop_contact": settings.SHOP_CONTACT,
        }
        return EmailMessage(
            subject=str(SUBJECTS[name]),
            body=render_to_string(f"accounts/{name}.txt", context),
            to=[mail.email],
            headers={"Message-ID": f"<{mail.created_at:%y%m%d%H%M%S}.{mail.pk}@accounts.{settings.MAIL_DOMAIN}>"},
        )


def _choose_link(mail: AccountMail) -> tuple[str, str]:
    """Return the template's name and the link's path; both are empty if there is nothing to send."""
    user = User.objects.filter(email=mail.email).first()
    is_active = user is not None and user.is_active
    match mail.kind:
        case Kind.SIGN_UP if user is None:
            return "sign_up", reverse("create-account", args=[make_sign_up_token(mail.email)])
        case Kind.SIGN_UP if is_active:
            return "account_exists", reverse("log-in")
        case Kind.RESET if user and is_active and user.has_usable_password():
            uid, token = urlsafe_base64_encode(force_bytes(user.pk)), default_token_generator.make_token(user)
            return "password_reset", reverse("password-reset-confirm", args=[uid, token])
        case Kind.VERIFY if user and is_active:
            return "verify_email", reverse("verify-email", args=[make_verification_token(user)])
    return "", ""
