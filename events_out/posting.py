"""Posts to addresses that others choose: nowhere inside, no redirects, within one time limit, little is read back."""

from collections.abc import Mapping
from contextlib import ExitStack
from io import BytesIO
from socket import socket
from typing import Any, NamedTuple

import certifi
import pycurl
from django.conf import settings

from events_out.addresses import AddressRefused, check_url, is_allowed

LARGEST_ANSWER = 16_000  # bytes; the rest is not read
SHOWN = 500  # characters of an answer, for staff


class NoAnswer(Exception):
    """The endpoint was not reached, or did not answer in time: it may have taken the event."""


class Answer(NamedTuple):
    status: int
    text: str  # how it begins
    retry_after: str = ""  # the header, as it is

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


class Poster:
    """Keeps its connection from one request to the next. Close it at the end."""

    def __init__(self) -> None:
        self._curl = pycurl.Curl()

    def close(self) -> None:
        self._curl.close()

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Raises NoAnswer, after WEBHOOK_TIMEOUT seconds at the latest."""
        try:
            check_url(url)
        except AddressRefused as refusal:
            raise NoAnswer(str(refusal)) from None
        self._prepare(url, body, headers)
        exchange = Exchange()
        self._perform(exchange)
        status = self._curl.getinfo(pycurl.RESPONSE_CODE)
        return Answer(status, make_storable(exchange.received.getvalue()), exchange.retry_after)

    def _perform(self, exchange: "Exchange") -> None:
        self._curl.setopt(pycurl.OPENSOCKETFUNCTION, exchange.open_socket)
        self._curl.setopt(pycurl.HEADERFUNCTION, exchange.read_header)
        self._curl.setopt(pycurl.WRITEFUNCTION, exchange.read)
        with exchange.sockets:
            try:
                self._curl.perform()
            except pycurl.error as error:
                if error.args[0] != pycurl.E_WRITE_ERROR:  # which is ours: no more was to be read
                    raise NoAnswer(exchange.explain(error)) from None

    def _prepare(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        curl = self._curl
        curl.reset()  # the options, not the connection
        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.POST, 1)
        curl.setopt(pycurl.POSTFIELDS, body)
        # Without `Expect` the body is sent at once.
        curl.setopt(pycurl.HTTPHEADER, [*(f"{name}: {value}" for name, value in headers.items()), "Expect:"])
        curl.setopt(pycurl.USERAGENT, "Orderly")
        curl.setopt(pycurl.CAINFO, certifi.where())
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.FOLLOWLOCATION, 0)
        curl.setopt(pycurl.PROXY, "")  # a proxy would connect to whatever it is told to
        curl.setopt(pycurl.TIMEOUT_MS, int(settings.WEBHOOK_TIMEOUT * 1000))  # of the whole: name, connect, head, body
        curl.setopt(pycurl.NOSIGNAL, 1)  # a time limit by signals would end a process that has threads


class Exchange:
    """One request: which address it may be sent to, and what is read of its answer."""

    def __init__(self) -> None:
        self.sockets = ExitStack()  # libcurl has copies of its own
        self.received = BytesIO()
        self.retry_after = ""
        self._refused: list[str] = []

    def open_socket(self, _purpose: int, peer: Any) -> socket | int:
        # Judged here, and not when the name is looked up: this address is the one that is connected to.
        if is_allowed(peer.addr[0]):
            return self.sockets.enter_context(socket(peer.family, peer.socktype, peer.protocol))
        self._refused.append(peer.addr[0])
        return int(pycurl.SOCKET_BAD)

    def read_header(self, line: bytes) -> None:
        name, _, value = line.decode("latin-1").partition(":")
        if name.lower() == "retry-after":
            self.retry_after = self.retry_after or value.strip()

    def read(self, data: bytes) -> int | None:
        self.received.write(data)
        return None if self.received.tell() <= LARGEST_ANSWER else 0  # which ends the request

    def explain(self, error: pycurl.error) -> str:
        return f"{', '.join(self._refused)}: not a public address" if self._refused else str(error.args[-1])


def make_storable(received: bytes) -> str:
    """How it begins, as text that PostgreSQL can hold."""
    return received.decode(errors="replace").replace("\0", "")[:SHOWN]
