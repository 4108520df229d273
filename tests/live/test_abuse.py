"""What only a real server can be sent: bytes that no client library writes."""

import socket
from urllib.parse import urlsplit

import pytest

from lab.stack.stack import Stack

HOST = b"Host: 127.0.0.1\r\n"
CLOSE = HOST + b"Connection: close\r\n"
CHUNK = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
RAW = {
    "a NUL in a header": b"GET / HTTP/1.1\r\n" + CLOSE + b"X-Evil: a\0b\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\n" + CLOSE + b": evil\r\n\r\n",
    "a bare line feed": b"GET / HTTP/1.1\r\n" + CLOSE + b"X-Evil: a\nX-Other: b\r\n\r\n",
    "bytes that are no text in the path": b"GET /products/\xff\xfe/\x80/ HTTP/1.1\r\n" + CLOSE + b"\r\n",
    "bytes that are no text in the query": b"GET /?q=\xff\xfe HTTP/1.1\r\n" + CLOSE + b"\r\n",
    "bytes that are no text in the key": b"POST /api/v1/orders HTTP/1.1\r\n"
    + CLOSE
    + b"Idempotency-Key: \xff\xfe\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    "a length that is no number": b"POST /api/v1/orders HTTP/1.1\r\n" + CLOSE + b"Content-Length: many\r\n\r\n",
    "a negative length": b"POST /api/v1/orders HTTP/1.1\r\n" + CLOSE + b"Content-Length: -1\r\n\r\n",
    "two lengths": b"POST /api/v1/orders HTTP/1.1\r\n" + CLOSE + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "two hosts": b"GET / HTTP/1.1\r\n" + CLOSE + b"Host: evil.example\r\n\r\n",
    "another host": b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    "a whole address": b"GET http://evil.example/ HTTP/1.1\r\n" + CLOSE + b"\r\n",
    "a long head": b"GET / HTTP/1.1\r\n" + CLOSE + b"X-Evil: " + b"x" * 100_000 + b"\r\n\r\n",
    "a method that nobody knows": b"EVIL / HTTP/1.1\r\n" + CLOSE + b"\r\n",
    "no protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


def send(stack: Stack, request: bytes) -> bytes:
    """The answer, or what came of it before the connection was closed."""
    address = urlsplit(stack.web_url)
    answer = b""
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=40) as connection:
        try:
            connection.sendall(request)
            while part := connection.recv(65_536):
                answer += part
        except ConnectionError:  # it was refused before all of it was sent
            pass
    return answer


@pytest.mark.parametrize("request_", RAW.values(), ids=RAW.keys())
def test_no_bytes_are_an_error_of_ours(stack: Stack, request_: bytes) -> None:
    status = send(stack, request_).partition(b"\r\n")[0]

    assert status.startswith(b"HTTP/1."), status
    assert int(status.split()[1]) < 500


def test_a_body_in_chunks_that_is_too_long_is_refused_as_one_of_a_known_length(stack: Stack) -> None:
    head = b"POST /api/v1/orders/261124-GH0ST-GH0ST/cancel HTTP/1.1\r\n" + CLOSE
    answer = send(stack, head + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK * 2 + b"0\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"error": "body_too_large"' in answer
    short = send(stack, head + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
    assert short.startswith(b"HTTP/1.1 404 ")
