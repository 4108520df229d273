"""The address of a Redis that sentinels watch: sentinel://user:password@one:26379,two:26379/SERVICE/0"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

PORT = 26379
SEVERAL = re.compile(r"(?P<before>\w+://(?:[^/?#]*@)?)(?P<hosts>[^/?#@]*)(?P<behind>.*)")
PATH = re.compile(r"/(?P<name>[\w.-]+)(/(?P<database>\d*))?")


@dataclass(frozen=True)
class Service:
    """A primary of Redis that may move. User and password are those of Redis; sentinels may have a password, too."""

    sentinels: list[tuple[str, int]]
    name: str
    database: int
    credentials: str  # as they stand in the URL: user:password@, or nothing
    sentinel_password: str | None

    @property
    def sentinel_options(self) -> dict[str, str]:
        return {"password": self.sentinel_password} if self.sentinel_password else {}


def split_hosts(url: str) -> list[str]:
    """One URL for each host, where the URL has commas between several. Raises ValueError."""
    # Not by urlsplit: newer Pythons refuse an IPv6 address beside other hosts.
    if not (parts := SEVERAL.fullmatch(url)):
        raise ValueError("no host")
    hosts = parts["hosts"].split(",")
    return [urlsplit(f"{parts['before']}{host.strip()}{parts['behind']}").geturl() for host in hosts]


def parse_service(url: str) -> Service:
    """Raises ValueError, without the URL in it."""
    hosts = [urlsplit(one) for one in split_hosts(url)]
    parts = hosts[0]
    path = PATH.fullmatch(unquote(parts.path))
    options = parse_qs(parts.query, strict_parsing=bool(parts.query))
    if not path or not options.keys() <= {"sentinel_password"}:
        raise ValueError("no service, or an unknown option")
    credentials, at, _ = parts.netloc.rpartition("@")
    return Service(
        sentinels=[(host.hostname or "", host.port or PORT) for host in hosts],
        name=path["name"],
        database=int(path["database"] or 0),
        credentials=f"{credentials}{at}",
        sentinel_password=options.get("sentinel_password", [None])[0],
    )
