"""What customers are told by mail: each kind once per order, by a row that is written with the news it tells."""

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from accounts.pseudonyms import is_pseudonym
from languages import find_language, write_time
from mail_queue import send_mails
from money import format_money
from orders.models import OrderMail
from payments.services import list_instructions

SUBJECTS = {
    OrderMail.Kind.INSTRUCTIONS: _("How to pay for your order %(code)s"),
    OrderMail.Kind.CONFIRMED: _("Your order %(code)s is confirmed"),
    OrderMail.Kind.CANCELLED: _("Your order %(code)s is cancelled"),
    OrderMail.Kind.REFUNDED: _("A refund for your order %(code)s"),
}


def send_due_mails(*, limit: int = 1000) -> int:
    """Send those that are due, as mail_queue.send_mails does; return how many went out."""
    owed = OrderMail.objects.select_related("order", "refund").prefetch_related("order__lines", "refund__lines__line")
    return send_mails(owed, make_message=make_message, limit=limit)


def make_message(mail: OrderMail) -> EmailMultiAlternatives | None:
    """The mail in text and HTML, in the order's language. Its Message-ID is the same each time it is made.

    None: it would say how to pay for an order that waits for no money any more, or its customer was erased.
    """
    order = mail.order
    asks_for_money = mail.kind == OrderMail.Kind.INSTRUCTIONS
    if asks_for_money and not order.payment.waits_for_money:
        return None
    if is_pseudonym(order.email):
        return None
    with translation.override(find_language(order.language)):
        context = {
            "order": order,
            "mail": mail,
            "refunded": format_money(mail.refund.amount, order.currency) if mail.refund else "",
            "returned": mail.refund.lines.all() if mail.refund else [],
            "refunded_in_all": format_money(order.refunded, order.currency) if mail.refund else "",
            "total": format_money(order.total, order.currency),
            "lines": [(line, format_money(line.total, order.currency)) for line in order.lines.all()],
            "instructions": list_instructions(order.payment) if asks_for_money else [],
            "url": f"{settings.SHOP_URL}/orders/{order.code}/" if settings.SHOP_URL else "",
            "placed": write_time(order.created_at),
            "until": write_time(order.expires_at) if asks_for_money else "",
            "shop_name": settings.SHOP_NAME,
            "shop_contact": settings.SHOP_CONTACT,
        }
        message = EmailMultiAlternatives(
            subject=SUBJECTS[OrderMail.Kind(mail.kind)] % {"code": order.code},
            body=render_to_string(f"mails/{mail.kind}.txt", context),
            to=[order.email],
            headers={"Message-ID": f"<{order.code}.{mail.name}@orders.{settings.MAIL_DOMAIN}>"},
        )
        message.attach_alternative(render_to_string(f"mails/{mail.kind}.html", context), "text/html")
    return message
