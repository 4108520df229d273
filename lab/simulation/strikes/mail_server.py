"""A stand-in for a mail server, on loopback: takes every mail, keeps its Message-ID, and is slow when asked to be.

XSLOW 9 makes it answer each command of the others after 9 seconds, for as long as the connection that asked lasts.
"""

import argparse
import time
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from socket import socket
from socketserver import StreamRequestHandler, ThreadingTCPServer

LONGEST = 2000  # bytes of a line
TAKEN = "taken-mails"  # a file in the stack's folder


class MailServer(ThreadingTCPServer):
    """`take` gets each mail. Port 0 is any that is free."""

    daemon_threads = True
    block_on_close = False  # a client that is held
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port: int, take: Callable[[EmailMessage], object]) -> None:
        super().__init__(("127.0.0.1", port), Conversation)
        self.take = take
        self.delays: dict[Conversation, float] = {}  # seconds, by the conversation that asked for them

    def wait(self, client: socket) -> None:
        """What comes before each answer."""
        time.sleep(max([*self.delays.values()], default=0))


class Conversation(StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        try:
            self.reply("220 ready")
            while line := self.rfile.readline(LONGEST):
                verb, _, rest = line.decode("latin-1").strip().partition(" ")
                if not self.obey(verb.upper(), rest):
                    return
        except ConnectionError:
            pass  # it has waited long enough

    def obey(self, verb: str, rest: str) -> bool:
        """Whether the conversation goes on."""
        match verb:
            case "EHLO" | "HELO" | "MAIL" | "RCPT" | "RSET" | "NOOP":
                self.reply("250 fine")
            case "DATA":
                self.reply("354 go on")
                self.server.take(self.read_mail())
                self.reply("250 taken")
            case "XSLOW":
                self.slow_down(float(rest))
                return False
            case "QUIT":
                self.reply("221 bye")
                return False
            case _:
                self.reply("502 unknown")
        return True

    def reply(self, text: str) -> None:
        self.server.wait(self.connection)
        self.wfile.write(f"{text}\r\n".encode())

    def slow_down(self, seconds: float) -> None:
        self.server.delays[self] = seconds
        self.wfile.write(b"250 slow\r\n")
        try:
            self.rfile.read()
        finally:
            del self.server.delays[self]

    def read_mail(self) -> EmailMessage:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        if not line:
            raise ConnectionResetError
        return message_from_bytes(b"".join(lines), policy=policy.default)


def keep_ids(folder: Path) -> Callable[[EmailMessage], object]:
    """What writes each mail's Message-ID into a file of the folder, for read_taken."""
    (folder / TAKEN).touch()

    def note(mail: EmailMessage) -> None:
        with (folder / TAKEN).open("a") as taken:
            taken.write(f"{mail['Message-ID']}\n")

    return note


def read_taken(folder: Path) -> set[str] | None:
    """What stands before the @ of the mails' Message-IDs; None where no such server ran for the stack in the folder."""
    try:
        lines = (folder / TAKEN).read_text().splitlines()
    except FileNotFoundError:
        return None
    return {line.strip("<>").partition("@")[0] for line in lines}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.simulation.strikes.mail_server", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="where it keeps the Message-IDs")
    options = parser.parse_args()
    with MailServer(options.port, keep_ids(options.folder)) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
