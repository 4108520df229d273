"""HTTP on the wire: the bytes of a request, a kept connection, and the least that must be read of an answer."""

import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
BODILESS = (204, 304)  # RFC 9110, 6.4.1
CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Request:
    """Bytes to be sent so many seconds after the start: on time, however late the others are answered."""

    data: bytes
    due: float = 0.0
    address: Address | None = None  # None: the one of the load


class NoLength(Exception):
    """An answer does not say how long it is; the generator reads no other."""


class Connection:
    """One kept connection, and the request that it waits for."""

    __slots__ = ("_address", "late", "received", "request", "sock", "tries")

    def __init__(self, address: Address) -> None:
        self._address = address
        self.request: Request | None = None
        self.received = bytearray()
        self.tries = 0
        self.late = 0.0  # seconds
        self.open()

    def open(self) -> None:
        self.sock = socket.create_connection(self._address, timeout=5)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request: Request) -> None:
        self.request, self.tries = request, self.tries + 1
        self.received.clear()
        self.sock.sendall(request.data)

    def receive(self) -> tuple[int, bytes, bytes] | None:
        """The status, the head and the body; None while it is not whole. Raises ConnectionError and NoLength."""
        data = self.sock.recv(65_536)
        if not data:
            raise ConnectionResetError
        self.received += data
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return None
        length = LENGTH.search(self.received, 0, end)
        if length is None and int(self.received[9:12]) in BODILESS:
            return int(self.received[9:12]), bytes(self.received[:end]), b""
        if length is None:
            raise NoLength(bytes(self.received[:end]))
        if len(self.received) < end + 4 + int(length[1]):
            return None
        return int(self.received[9:12]), bytes(self.received[:end]), bytes(self.received[end + 4 :])


def make_request(url: str, method: str, path: str, body: str = "", **headers: str) -> bytes:
    """An HTTP request as it goes over the wire; the names of the headers with _ for -."""
    headers = {"Host": urlsplit(url).netloc, **headers, "Content_Length": str(len(body.encode()))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()
