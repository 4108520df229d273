"""Whom a request comes from, where proxies pass it on."""

from collections.abc import Callable
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse


def find_client(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: REMOTE_ADDR is the client's, and X-Forwarded-Proto is there only if a trusted proxy set it."""

    def middleware(request: HttpRequest) -> HttpResponse:
        peer = request.META.get("REMOTE_ADDR", "")
        if is_trusted(peer):
            request.META["REMOTE_ADDR"] = read_client(peer, request.headers.get("X-Forwarded-For", ""))
        else:
            request.META.pop("HTTP_X_FORWARDED_PROTO", None)
        return get_response(request)

    return middleware


def read_client(peer: str, forwarded: str) -> str:
    """The nearest address that is no proxy of ours: what stands before it, anybody can have written there.

    https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/X-Forwarded-For#selecting_an_ip_address
    """
    client = peer
    for hop in reversed(forwarded.split(",")):
        if not is_address(hop.strip()):
            break
        client = hop.strip()
        if not is_trusted(client):
            break
    return client


def is_trusted(peer: str) -> bool:
    if not peer:  # a socket file: only what runs on this machine can reach it
        return bool(settings.TRUSTED_PROXIES)
    return is_address(peer) and any(ip_address(peer) in network for network in settings.TRUSTED_PROXIES)


def is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
