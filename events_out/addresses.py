"""Which addresses a webhook may go to: public ones, and the networks of our own that WEBHOOK_NETWORKS names."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

Address = IPv4Address | IPv6Address
# Public by the registry or by Python, and yet inside: at the first two, clouds keep their machines' metadata.
INSIDE = [ip_network(network) for network in ("168.63.129.16/32", "192.0.0.0/24", "3fff::/20")]
# Nobody has a public address of IPv6 anywhere else. Python takes much of the rest for public, such as the networks that
# reach any address of IPv4 by translation, and the site-local ones.
PUBLIC_IPV6 = ip_network("2000::/3")


class AddressRefused(ValueError):
    """A webhook may not go there. The text says why, for staff."""


def is_allowed(text: str) -> bool:
    """Whether a webhook may be sent to this IP address. It is asked of the very address that is connected to."""
    found = ip_address(text.partition("%")[0])  # without the zone of a link-local one
    return all(_is_public(address) or _is_in(address, settings.WEBHOOK_NETWORKS) for address in _unwrap(found))


def check_url(url: str) -> None:
    """Raises AddressRefused. What a name leads to is looked at when it is connected to: it may change at any time."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port  # it raises ValueError where it is no number
    except ValueError as error:
        raise AddressRefused(_("This is no URL: %(error)s.") % {"error": error}) from None
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise AddressRefused(_("It is of printable ASCII characters, without spaces."))
    schemes = ["https", "http"] if settings.LOCAL else ["https"]
    if parts.scheme not in schemes or not host:
        raise AddressRefused(_("It begins with https://, or the data could be read on their way."))
    if parts.username is not None or parts.fragment:
        raise AddressRefused(_("It has neither a password nor a fragment."))
    try:
        allowed = is_allowed(host)
    except ValueError:  # a name
        return
    if not allowed:
        raise AddressRefused(_("This address is not public, and WEBHOOK_NETWORKS does not name its network."))


def _unwrap(address: Address) -> list[Address]:
    """The address, and those of IPv4 that are written into it."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped:  # the system connects to that one
        return [address.ipv4_mapped]
    inner = [address.sixtofour, *(address.teredo or ())]
    return [address, *(wrapped for wrapped in inner if wrapped)]


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in PUBLIC_IPV6:
        return False
    return address.is_global and not address.is_multicast and not _is_in(address, INSIDE)


def _is_in(address: Address, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in networks)
