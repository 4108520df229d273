"""A proxy before the shop that can drop the answer to a POST after the shop has received the POST."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR, create_connection, socket
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread
from urllib.parse import urlsplit


class AnswerCutter(ThreadingTCPServer):
    """Passes bytes on, both ways; while it cuts, the shop's answer to a POST is thrown away and the browser hung up on.

    The answer is waited for first, so that the shop has done what it was asked to.
    """

    def __init__(self, shop_url: str) -> None:
        super().__init__(("127.0.0.1", 0), Wire)
        shop = urlsplit(shop_url)
        self.shop = (shop.hostname, shop.port)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.wires: list[socket] = []
        self.cuts = False
        self.lost = 0  # answers


class Wire(BaseRequestHandler):
    """One connection of the browser's."""

    server: AnswerCutter
    request: socket

    def handle(self) -> None:
        self.doomed = False
        self.server.wires.append(self.request)
        with create_connection(self.server.shop) as shop:
            answers = Thread(target=self.pass_answers, args=[shop])
            answers.start()
            with suppress(OSError):
                while data := self.request.recv(65536):
                    self.doomed = self.doomed or (self.server.cuts and data.startswith(b"POST"))
                    shop.sendall(data)
            hang_up(shop)
            answers.join()

    def pass_answers(self, shop: socket) -> None:
        with suppress(OSError):
            while data := shop.recv(65536):
                if self.doomed:
                    self.server.lost += 1
                    break
                self.request.sendall(data)
        hang_up(self.request)


@contextmanager
def run_cutter(shop_url: str) -> Iterator[AnswerCutter]:
    with AnswerCutter(shop_url) as cutter:  # its end waits for every wire's
        serving = Thread(target=cutter.serve_forever, args=[0.05])
        serving.start()
        try:
            yield cutter
        finally:
            cutter.shutdown()
            serving.join()
            for wire in cutter.wires:
                hang_up(wire)


def hang_up(connection: socket) -> None:
    with suppress(OSError):  # hung up before
        connection.shutdown(SHUT_RDWR)
