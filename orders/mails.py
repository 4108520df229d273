"""What customers are told by mail: each kind once per order, by a row that is written with the news it tells."""

import logging
from datetime import timedelta

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models.functions import Now
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _

from money import format_money
from orders.models import OrderMail

logger = logging.getLogger(__name__)

SUBJECTS = {
    OrderMail.Kind.CONFIRMED: _("Your order %(code)s is confirmed"),
    OrderMail.Kind.CANCELLED: _("Your order %(code)s is cancelled"),
}


def send_due_mails(*, limit: int = 100) -> int:
    """Send the mails that are due, oldest first; return how many went out. One that fails is tried again, ever later.

    No two callers send the same mail. One whose sender dies between the mail server's answer and our note of it is sent
    again, with the same Message-ID, by which a mail server can tell.
    """
    return sum(_send_mail(mail) for mail in _claim_mails(limit))


def _claim_mails(limit: int) -> list[OrderMail]:
    with transaction.atomic():
        due = OrderMail.objects.filter(sent_at__isnull=True, send_after__lte=Now()).order_by("send_after")
        mails = list(due.select_for_update(skip_locked=True, of=("self",)).select_related("order__payment")[:limit])
        for mail in mails:
            mail.attempts += 1
            pause = min(settings.MAIL_AFTER * 2 ** (mail.attempts - 1), settings.MAIL_AFTER_MAX)
            mail.send_after = timezone.now() + timedelta(seconds=pause)
            mail.save(update_fields=["attempts", "send_after"])
        return mails


def _send_mail(mail: OrderMail) -> bool:
    try:
        make_message(mail).send()
    except OSError as error:  # smtplib's errors are of this kind, and so is a server that can't be reached
        logger.warning("mail %s of %s did not go out: %s", mail.kind, mail.order.code, error)
        return False
    OrderMail.objects.filter(pk=mail.pk).update(sent_at=Now())
    return True


def make_message(mail: OrderMail) -> EmailMultiAlternatives:
    """The mail in text and HTML, in the order's language. Its Message-ID is the same each time it is made."""
    order = mail.order
    with translation.override(_find_language(order.language)):
        context = {
            "order": order,
            "mail": mail,
            "total": format_money(order.total, order.currency),
            "lines": [(line, format_money(line.total, order.currency)) for line in order.lines.all()],
            "url": f"{settings.SHOP_URL}/orders/{order.code}/" if settings.SHOP_URL else "",
        }
        message = EmailMultiAlternatives(
            subject=SUBJECTS[OrderMail.Kind(mail.kind)] % {"code": order.code},
            body=render_to_string(f"mails/{mail.kind}.txt", context),
            to=[order.email],
            headers={"Message-ID": f"<{order.code}.{mail.kind}@orders.{settings.MAIL_DOMAIN}>"},
        )
        message.attach_alternative(render_to_string(f"mails/{mail.kind}.html", context), "text/html")
    return message


def _find_language(language: str) -> str:
    try:
        return translation.get_supported_language_variant(language)
    except LookupError:  # the shop does not offer it any more
        return settings.LANGUAGE_CODE
