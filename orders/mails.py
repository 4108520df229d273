"""What customers are told by mail: each kind once per order, by a row that is written with the news it tells."""

import logging
from datetime import timedelta
from itertools import islice
from time import monotonic

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models.functions import Now
from django.template.loader import render_to_string
from django.utils import translation
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

    No two callers send the same mail, as long as the mail server takes it within MAIL_AFTER. One whose sender dies
    between the server's answer and our note of it is sent again, with the same Message-ID, by which a server can tell.
    Ends after MAIL_EVERY, with what it then has in hand: the next call goes on.
    """
    # By then the next tick has begun: senders that a slow server holds would fill the threads that charge payments.
    end = monotonic() + settings.MAIL_EVERY
    sent = 0
    for mail in islice(iter(_claim_mail, None), limit):
        sent += _send_mail(mail)
        if monotonic() > end:
            break
    return sent


def _claim_mail() -> OrderMail | None:
    with transaction.atomic():
        due = OrderMail.objects.filter(sent_at__isnull=True, send_after__lte=Now()).order_by("send_after")
        mail = due.select_for_update(skip_locked=True, of=("self",)).select_related("order__payment").first()
        if mail:
            mail.attempts += 1
            pause = min(settings.MAIL_AFTER * 2 ** (mail.attempts - 1), settings.MAIL_AFTER_MAX)
            mail.send_after = Now() + timedelta(seconds=pause)  # the clock that it is compared with, not ours
            mail.save(update_fields=["attempts", "send_after"])
        return mail


def _send_mail(mail: OrderMail) -> bool:
    try:
        make_message(mail).send()
    except OSError as error:  # smtplib's errors are of this kind, and so is a server that can't be reached
        logger.warning("mail %s of %s did not go out: %s", mail.kind, mail.order.code, error)
        return False
    except Exception:  # whatever is wrong with one mail must not hold up the others
        logger.exception("mail %s of %s can't be made or sent", mail.kind, mail.order.code)
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
