"""The addresses at which providers tell us of news. Nobody is logged in there: a signature says who it is."""

import structlog
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.views.decorators.csrf import csrf_exempt
from kombu.exceptions import OperationalError

from body_length import BadBodyLength, read_body_length
from payments.stripe_webhooks import EventRefused, read_event
from payments.tasks import publish_event
from payments.webhooks import receive_event

logger = structlog.stdlib.get_logger(__name__)

LARGEST_BODY = 2**20  # bytes; Stripe's events have some thousands


@csrf_exempt
def receive_stripe_event(request: HttpRequest) -> HttpResponse:
    """Answer 200 once the event is on disk. After any other answer Stripe sends it again, for three days.

    https://docs.stripe.com/webhooks
    """
    if not settings.STRIPE_WEBHOOK_SECRETS:
        raise Http404
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        if read_body_length(request) > LARGEST_BODY:
            return HttpResponse("An event has no more than a megabyte.", status=413, content_type="text/plain")
    except BadBodyLength:
        return HttpResponse("Content-Length is no number of bytes.", status=400, content_type="text/plain")
    try:
        event = read_event(request.body, request.headers.get("Stripe-Signature", ""))
    except EventRefused as refusal:
        logger.warning("a webhook event is refused", reason=str(refusal))
        return HttpResponse("This is no event that Stripe has just signed.", status=400, content_type="text/plain")
    if urgent := receive_event(event):
        try:
            publish_event(urgent)
        except OperationalError as error:
            logger.warning("a webhook event is left to the sweep", webhook_event=urgent.pk, reason=str(error))
    return HttpResponse(status=200, content_type="text/plain")
