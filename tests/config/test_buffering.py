"""The web server's worker, as gunicorn runs it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection
from typing import Any

import pytest

from config.buffering import LONGEST_CHUNK_LINE
from lab.simulation.strikes.running_stack import find_children
from lab.stack.embedded import free_port
from lab.stack.processes import child_command
from lab.stack.var import BASE_DIR
from tests.waiting import wait_for

CONNECTIONS = 100
START = b"POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\n"


class Server:
    """gunicorn with one worker of two threads on tests/config/probe.py."""

    def __init__(self) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "gunicorn", "tests.config.probe", "--bind", f"127.0.0.1:{self.port}"]
        command += ["--worker-class", "config.buffering.BufferingWorker", "--threads", "2", "--no-control-socket"]
        command += ["--worker-connections", str(CONNECTIONS)]
        self.process = subprocess.Popen(child_command(command), cwd=BASE_DIR, start_new_session=True)

    def ask(
        self, path: str = "/", *, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST" if body else "GET", path, body, headers or {})
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if response.status == 200 else {}
        finally:
            connection.close()

    def connect(self, begun: bytes) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        client.sendall(begun)
        return client

    def is_up(self) -> bool:
        try:
            return self.ask()[0] == 200
        except OSError:
            return False


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    try:
        wait_for(server.is_up, "the server")
        yield server
    finally:
        server.process.terminate()
        server.process.wait(timeout=20)


def test_requests_that_are_not_whole_keep_nobody_waiting(server: Server) -> None:
    dripping = [server.connect(start) for start in (b"GET / HTTP/1.1\r\nHost: ", START + b"\r\na") for _ in range(5)]

    status, _ = server.ask()

    assert status == 200
    for client in dripping:
        client.close()


def test_a_request_that_drips_on_is_cut_off_in_the_end(server: Server) -> None:
    with server.connect(START) as client:

        def is_cut_off() -> bool:
            try:
                client.sendall(b"X-Drip: 1\r\n")
            except OSError:
                return True
            time.sleep(0.2)
            return False

        wait_for(is_cut_off, "the end of the connection")
    assert server.ask()[0] == 200


def test_a_client_is_known_by_its_address_and_what_proxies_say_is_left_to_the_shop(server: Server) -> None:
    _, told = server.ask(headers={"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"})

    assert (told["REMOTE_ADDR"], told["scheme"]) == ("127.0.0.1", "http")
    assert (told["HTTP_X_FORWARDED_FOR"], told["HTTP_X_FORWARDED_PROTO"]) == ("192.0.2.1", "https")


def test_a_long_request_comes_whole_and_a_too_long_one_is_refused(server: Server) -> None:
    assert server.ask(body=bytes(3 * 2**20))[1]["length"] == 3 * 2**20
    with server.connect(START.replace(b"Length: 3", b"Length: 99999999") + b"\r\n") as client:
        assert client.recv(64).startswith(b"HTTP/1.1 413")
    assert server.ask(headers={"X-Long": "x" * 70_000})[0] == 431


def test_a_request_in_two_readings_is_refused(server: Server) -> None:
    """What two servers in a row read differently, the second takes for the next customer's request."""
    with server.connect(START + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n") as client:
        assert client.recv(64).split()[1] in (b"400", b"501")


def test_what_was_asked_for_is_answered_before_the_server_stops(server: Server) -> None:
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(server.ask, "/slow")
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)

        assert slow.result()[0] == 200
    assert server.process.wait(timeout=20) == 0


def test_a_worker_that_is_killed_is_replaced(server: Server) -> None:
    first = server.ask()[1]["pid"]
    assert first in find_children(server.process.pid)

    os.kill(first, signal.SIGKILL)

    wait_for(server.is_up, "another worker")
    assert server.ask()[1]["pid"] != first


@pytest.mark.parametrize("start", [b"", b"1;", b"0\r\n", b"0\r\nTrailer: "], ids=repr)
def test_a_chunk_whose_line_does_not_end_is_refused_before_it_costs_time(server: Server, start: bytes) -> None:
    head = b"POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n"
    with server.connect(head + start + b"1" * 2 * LONGEST_CHUNK_LINE) as client:
        assert client.recv(100).startswith(b"HTTP/1.1 400 ")


def test_a_request_that_says_two_lengths_is_refused_and_the_connection_closed(server: Server) -> None:
    smuggled = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n"
    head = b"POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n" % len(smuggled)
    with server.connect(head + smuggled) as client:
        answers = client.makefile("rb").read()

    assert answers.startswith(b"HTTP/1.1 400 ")
    assert answers.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("length", [b"x", b"-1", b"+3", b"1_0", b"3, 3", b"\xb2", b"0x3"], ids=repr)
def test_a_length_that_is_no_number_is_refused_before_a_page_reads_it(server: Server, length: bytes) -> None:
    with server.connect(b"POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: " + length + b"\r\n\r\nyes") as client:
        answers = client.makefile("rb").read()

    assert answers.startswith(b"HTTP/1.1 400 ")
    assert answers.count(b"HTTP/1.1") == 1


def test_a_body_in_chunks_is_read_to_its_trailer(server: Server) -> None:
    with server.connect(
        b"POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nyes\r\n"
    ) as client:
        client.sendall(b"0\r\nTrailer: yes\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("begun", [b"", START], ids=["silent", "begun"])
def test_connections_that_say_no_more_keep_nobody_out(server: Server, begun: bytes) -> None:
    with ExitStack() as opened:
        for _ in range(3 * CONNECTIONS):
            opened.enter_context(server.connect(begun))

        assert server.ask()[0] == 200
