"""python -m lab.sandbox --bind 127.0.0.1:8420, with SANDBOX_DATABASE_URL in the environment."""

import argparse
import logging
import os
import signal
import sys

from lab.sandbox.database import Database
from lab.sandbox.deliveries import start_deliveries
from lab.sandbox.events import WEBHOOK_URL
from lab.sandbox.server import SandboxServer


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.sandbox", description="A provider to test payments with.")
    parser.add_argument("--bind", type=address, default="127.0.0.1:8420", help="default: %(default)s")
    bind = parser.parse_args().bind
    url = os.environ.get("SANDBOX_DATABASE_URL")
    if not url:
        sys.exit("SANDBOX_DATABASE_URL is not set: postgres://user:password@host:port/name")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))

    database = Database(url)
    database.prepare()
    with SandboxServer(bind, database) as server:
        if WEBHOOK_URL:
            start_deliveries(database)
        logging.info("sandbox provider listens on %s:%s", *server.server_address)
        server.serve_forever()


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    main()
