"""Finds out who sent a request that proxies passed on."""

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse

# Some proxies write the port behind the IP address, and IPv6 then in brackets.
WITH_PORT = re.compile(r"\[(?P<v6>.+)\](?::\d+)?|(?P<v4>[\d.]+):\d+")


def find_client(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Put the client's address into REMOTE_ADDR. Drop X-Forwarded-Proto and X-Request-ID unless from a trusted proxy.

    REMOTE_ADDR is empty if no proxy says whose the request is. This is a middleware.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        client = peer = read_address(request.META.get("REMOTE_ADDR", ""))
        if is_trusted(peer):
            client = read_client(request.headers.get("X-Forwarded-For", ""))
        else:
            request.META.pop("HTTP_X_FORWARDED_PROTO", None)
            request.META.pop("HTTP_X_REQUEST_ID", None)
        request.META["REMOTE_ADDR"] = str(client or "")
        return get_response(request)

    return middleware


def read_client(forwarded: str) -> IPv4Address | IPv6Address | None:
    """The nearest IP address that is no proxy of ours. Anybody can have written what stands before it.

    https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/X-Forwarded-For#selecting_an_ip_address
    """
    client = None
    for hop in reversed(forwarded.split(",")):
        with_port = WITH_PORT.fullmatch(hop.strip())
        address = read_address(with_port["v6"] or with_port["v4"] if with_port else hop.strip())
        if address is None:
            break
        client = address
        if not is_trusted(client):
            break
    return client


def is_trusted(peer: IPv4Address | IPv6Address | None) -> bool:
    if peer is None:  # a socket file: only what runs on this machine can reach it
        return bool(settings.TRUSTED_PROXIES)
    return any(peer in network for network in settings.TRUSTED_PROXIES)


def read_address(text: str) -> IPv4Address | IPv6Address | None:
    """The address; an IPv4 one that an IPv6 socket wrote as ::ffff:192.0.2.1 is the IPv4 one."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
