"""Links from a payment to its page at the provider."""

from django.utils.html import format_html

from payments.gateway import GatewayUnavailable, get_gateway
from payments.models import Payment


def link_to_provider(payment: Payment) -> str:
    """Its id at the provider, as a link where its gateway knows a page of it."""
    provider_id = payment.provider_id or "-"
    url = find_payment_url(payment)
    return format_html('<a href="{}" rel="noreferrer">{}</a>', url, provider_id) if url else provider_id


def find_payment_url(payment: Payment) -> str | None:
    if not payment.provider_id:
        return None
    try:
        return get_gateway(payment.gateway).payment_url(payment.provider_id)
    except GatewayUnavailable:  # the shop has it no more
        return None
