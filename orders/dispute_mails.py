"""What staff are told of disputes by mail."""

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from mail_queue import send_mails
from money import format_money
from orders.dispute_models import DisputeMail
from orders.models import Order

SUBJECTS = {
    DisputeMail.Kind.OPENED: _("Order %(code)s: a customer's bank takes %(amount)s back"),
    DisputeMail.Kind.WON: _("Order %(code)s: the dispute about %(amount)s is won"),
    DisputeMail.Kind.LOST: _("Order %(code)s: the dispute about %(amount)s is lost"),
}


def send_due_mails(*, limit: int = 1000) -> int:
    """Send those that are due, as mail_queue.send_mails does; return how many went out."""
    owed = DisputeMail.objects.select_related("dispute__payment")
    return send_mails(owed, make_message=make_message, limit=limit)


def make_message(mail: DisputeMail) -> EmailMessage | None:
    """The mail in the shop's language, or None where STAFF_EMAILS names nobody.

    Its Message-ID is the same each time it is made, until the bank says the same of the dispute once more.
    """
    if not settings.STAFF_EMAILS:
        return None
    dispute = mail.dispute
    order = Order.objects.get(code=dispute.payment.reference)
    with translation.override(settings.LANGUAGE_CODE):
        facts = {"code": order.code, "amount": format_money(dispute.amount, dispute.currency)}
        url = f"{settings.SHOP_URL}/admin/orders/order/{order.pk}/change/" if settings.SHOP_URL else ""
        return EmailMessage(
            subject=str(SUBJECTS[DisputeMail.Kind(mail.kind)]) % facts,
            body=render_to_string(f"mails/dispute_{mail.kind}.txt", {**facts, "dispute": dispute, "url": url}),
            to=settings.STAFF_EMAILS,
            headers={"Message-ID": f"<{name_message(mail)}@disputes.{settings.MAIL_DOMAIN}>"},
        )


def name_message(mail: DisputeMail) -> str:
    """What stands before the @ of its Message-ID."""
    return f"{mail.created_at:%y%m%d%H%M%S}.{mail.dispute_id}.{mail.kind}"
