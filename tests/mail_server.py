"""A mail server on loopback that takes every mail, and can be slow or hold its answers."""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from threading import Event, Lock, Thread
from typing import Any

from lab.simulation.strikes import mail_server


class MailServer(mail_server.MailServer):
    """What it took is in `mails`, and how many clients it had, in all in `visits`, at once in `most_at_once`."""

    def __init__(self) -> None:
        super().__init__(0, self._keep)
        self.mails: list[EmailMessage] = []
        self.pause = 0.0  # seconds before each answer
        self.answering = Event()  # cleared: no answer until it is set again
        self.answering.set()
        self._lock, self.clients, self.visits, self.most_at_once = Lock(), 0, 0, 0

    def _keep(self, mail: EmailMessage) -> None:
        self.mails.append(mail)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.server_address[1]}"

    def finish_request(self, request: Any, client_address: Any) -> None:
        self._count(1)
        try:
            super().finish_request(request, client_address)
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self.clients += change
            self.visits += max(change, 0)
            self.most_at_once = max(self.most_at_once, self.clients)

    def wait(self, client: socket.socket) -> None:
        time.sleep(self.pause)
        while not self.answering.wait(0.05):
            if is_gone(client):
                raise ConnectionError("the client gave up")


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
