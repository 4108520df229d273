"""A mail server on loopback that takes every mail, and can be slow or hold its answers."""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Event, Lock, Thread


class MailServer(ThreadingTCPServer):
    """What it took is in `mails`, and how many clients it ever had at the same time in `most_at_once`."""

    daemon_threads = True
    block_on_close = False  # a client that is held

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Dialogue)
        self.mails: list[EmailMessage] = []
        self.pause = 0.0  # seconds before each answer
        self.answering = Event()  # cleared: no answer until it is set again
        self.answering.set()
        self.lock, self.clients, self.most_at_once, self.sessions = Lock(), 0, 0, 0

    @property
    def port(self) -> int:
        return self.socket.getsockname()[1]  # type: ignore[no-any-return]

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are what is tested."""


class Dialogue(StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self._count(1)
        try:
            self._talk()
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self.server.lock:
            self.server.clients += change
            self.server.sessions += change > 0
            self.server.most_at_once = max(self.server.most_at_once, self.server.clients)

    def _talk(self) -> None:
        self._answer("220 ready")
        for line in self.rfile:
            command = line[:4].upper()
            if command == b"DATA":
                self._answer("354 go on")
                self._take_mail()
            self._answer("221 bye" if command == b"QUIT" else "250 ok")
            if command == b"QUIT":
                return

    def _take_mail(self) -> None:
        lines = iter(self.rfile.readline, b".\r\n")
        text = b"".join(line.removeprefix(b".") for line in lines)
        message = message_from_bytes(text, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.server.mails.append(message)

    def _answer(self, text: str) -> None:
        time.sleep(self.server.pause)
        while not self.server.answering.wait(0.05):
            if is_gone(self.connection):
                raise ConnectionError("the client gave up")
        self.wfile.write(f"{text}\r\n".encode())


def is_gone(client: socket.socket) -> bool:
    return bool(select.select([client], [], [], 0)[0]) and not client.recv(1, socket.MSG_PEEK)


@contextmanager
def run_mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server
        finally:
            server.answering.set()
            server.shutdown()
