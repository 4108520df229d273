"""The limits that a client has, and what it is told of them: draft-ietf-httpapi-ratelimit-headers."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from api.clients import Client, Scope, get_client
from api.problems import answer_checkout_refused
from orders.limits import TooManyCheckouts, TooManyDeclines, read_quotas


def has_limits(client: Client) -> bool:
    return Scope.UNLIMITED not in client.scopes


def describe_sender(request: HttpRequest) -> dict[str, Any]:
    """By what orders and declined cards are counted."""
    user = get_client(request).user
    session_key = request.session.session_key if user else None
    return {"ip": request.META["REMOTE_ADDR"], "session_key": session_key, "user": user}


def tell_quotas(request: HttpRequest, response: HttpResponse) -> None:
    """Say in its headers how many orders the client may still place; nothing to a client without limits."""
    quotas = read_quotas(**describe_sender(request)) if has_limits(get_client(request)) else []
    if quotas:
        policies = [f'"{quota.kind}";q={quota.most};w={settings.LIMIT_WINDOW}' for quota in quotas]
        response["RateLimit-Policy"] = ", ".join(policies)
        response["RateLimit"] = ", ".join(f'"{quota.kind}";r={quota.left};t={quota.seconds}' for quota in quotas)


def answer_limit_reached(request: HttpRequest, refusal: TooManyCheckouts | TooManyDeclines) -> HttpResponse:
    response = answer_checkout_refused(request, refusal)
    tell_quotas(request, response)
    return response
