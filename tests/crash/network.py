"""A network between processes and a server that can be cut: nothing gets through, and nobody is hung up on."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR, create_connection, socket
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Event, Thread
from urllib.parse import urlsplit


class Link(ThreadingTCPServer):
    """Passes bytes on to the server of the URL, both ways. While it is cut they wait, as dropped packets do."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), Wire)
        address = urlsplit(url)
        self.behind = (address.hostname, address.port)
        user = address.netloc.rpartition("@")[0]
        self.url = address._replace(netloc=f"{user}@127.0.0.1:{self.server_address[1]}").geturl()
        self.whole = Event()
        self.whole.set()


class Wire(BaseRequestHandler):
    """One connection of a process."""

    server: Link
    request: socket

    def handle(self) -> None:
        with create_connection(self.server.behind) as behind:
            answers = Thread(target=self.carry, args=[behind, self.request], daemon=True)
            answers.start()
            self.carry(self.request, behind)
            answers.join()

    def carry(self, source: socket, target: socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self.server.whole.wait()
                target.sendall(data)
        self.server.whole.wait()  # an end is a packet, too
        with suppress(OSError):
            target.shutdown(SHUT_RDWR)


@contextmanager
def run_link(url: str) -> Iterator[Link]:
    with Link(url) as link:
        Thread(target=link.serve_forever, args=[0.05], daemon=True).start()
        try:
            yield link
        finally:
            link.whole.set()
            link.shutdown()
