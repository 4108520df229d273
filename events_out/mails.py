"""What staff are told of endpoints by mail."""

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _

from events_out.delivery_models import EndpointMail
from mail_queue import send_mails


def send_due_mails(*, limit: int = 1000) -> int:
    """Send those that are due, as mail_queue.send_mails does; return how many went out."""
    return send_mails(EndpointMail.objects.select_related("endpoint"), make_message=make_message, limit=limit)


def make_message(mail: EndpointMail) -> EmailMessage | None:
    """The mail in the shop's language, or None where STAFF_EMAILS names nobody. Its Message-ID is always the same."""
    if not settings.STAFF_EMAILS:
        return None
    endpoint = mail.endpoint
    with translation.override(settings.LANGUAGE_CODE):
        path = f"/admin/events_out/endpoint/{endpoint.pk}/change/"
        url = f"{settings.SHOP_URL}{path}" if settings.SHOP_URL else ""
        return EmailMessage(
            subject=_("The webhook endpoint %(name)s was switched off") % {"name": endpoint.name},
            body=render_to_string("mails/endpoint_off.txt", {"endpoint": endpoint, "mail": mail, "url": url}),
            to=settings.STAFF_EMAILS,
            headers={"Message-ID": f"<{mail.pk}@endpoints.{settings.MAIL_DOMAIN}>"},
        )
