"""PgBouncer from Debian's package, on a free port of 127.0.0.1: it pools transactions."""

import os
import shutil
import signal
from pathlib import Path
from urllib.parse import urlsplit

from lab.stack.embedded import UNPRIVILEGED, ServersMissing, free_port, give_away, listens
from lab.stack.processes import Process
from lab.stack.var import write_private

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
# Asked before a session is given to somebody: one to a primary that was demoted ends itself. An error would pass.
END_IF_READ_ONLY = "SELECT pg_terminate_backend(pg_backend_pid()) WHERE current_setting('transaction_read_only') = 'on'"


def pgbouncer(folder: Path, url: str, *, log: Path) -> tuple[Process, str]:
    """A PgBouncer in front of the database, to be started, and the URL of the database behind it.

    Raises ServersMissing.
    """
    if not PROGRAM:
        raise ServersMissing("PgBouncer is not installed: apt-get install --no-install-recommends pgbouncer")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    server, port, config, users = urlsplit(url), free_port(), folder / "pgbouncer.ini", folder / "users.txt"
    # Of several servers the first: this PgBouncer can't choose the one that takes writes.
    host, _, port_behind = server.netloc.rpartition("@")[2].partition(",")[0].partition(":")
    settings = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "scram-sha-256",
        "auth_file": users,
        "pool_mode": "transaction",
        "default_pool_size": 12,
        "max_client_conn": 300,
        "server_check_query": END_IF_READ_ONLY,
        "server_check_delay": 0,
    }
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    write_private(config, f"[databases]\n* = host={host} port={port_behind}\n[pgbouncer]\n{lines}")
    write_private(users, f'"{server.username}" "{server.password}"\n')
    give_away(folder, config, users)
    pooled = server._replace(netloc=f"{server.username}:{server.password}@127.0.0.1:{port}", query="").geturl()
    process = Process(
        name="pgbouncer",
        command=[PROGRAM, str(config)],
        env={"PATH": os.defpath},
        log=log,
        is_ready=lambda: listens(port),  # a session from before the migration would lack the role's timeouts
        stop_signal=signal.SIGINT,
        user=UNPRIVILEGED,
    )
    return process, pooled
