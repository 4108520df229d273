"""Valkey with a replica, and three sentinels that make the replica the primary when the primary is away."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import redis

from lab.stack.embedded import UNPRIVILEGED, free_port, give_away, valkey
from lab.stack.processes import Process
from lab.stack.var import write_private

SERVICE = "shop"
SENTINELS, QUORUM = 3, 2
AWAY_AFTER = 2000  # milliseconds


def watched_valkey(folder: Path, *, log: Path) -> tuple[list[Process], str]:
    """The servers with their data in the folder, to be started, and the URL by which the primary is found."""
    primary, url = valkey(folder, log=log)
    password, port = str(urlsplit(url).password), int(urlsplit(url).port or 0)
    (folder / "replica").mkdir(mode=0o700, exist_ok=True)
    write_private(folder / "replica" / "password", password)
    followed = {"replicaof": f"127.0.0.1 {port}", "masterauth": password}
    replica, _ = valkey(folder / "replica", log=log.with_name("valkey-replica.log"), settings=followed)
    replica.name = "valkey-replica"
    with (folder / "valkey.conf").open("a") as config:
        config.write(f"masterauth {password}\n")  # it may come back as a replica
    processes, ports = [primary, replica], []
    for number in range(1, SENTINELS + 1):
        ports.append(free_port())
        name = f"sentinel-{number}"
        processes.append(
            _make_sentinel(folder / name, primary, port, ports[-1], password, log=log.with_name(f"{name}.log"))
        )
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    return processes, f"sentinel://:{password}@{hosts}/{SERVICE}/0?sentinel_password={password}"


def _make_sentinel(folder: Path, primary: Process, watched: int, port: int, password: str, *, log: Path) -> Process:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = folder / "sentinel.conf"  # it writes there what it finds out
    lines = [
        "bind 127.0.0.1",
        f"port {port}",
        f'dir "{folder}"',
        f"requirepass {password}",
        f"sentinel sentinel-pass {password}",
        f"sentinel monitor {SERVICE} 127.0.0.1 {watched} {QUORUM}",
        f"sentinel auth-pass {SERVICE} {password}",
        f"sentinel down-after-milliseconds {SERVICE} {AWAY_AFTER}",
        f"sentinel failover-timeout {SERVICE} 6000",
        "loglevel warning",
    ]
    write_private(config, "".join(f"{line}\n" for line in lines))
    give_away(folder, config)
    return Process(
        name=folder.name,
        command=[primary.command[0], str(config), "--sentinel"],
        env=primary.env,
        log=log,
        is_ready=lambda: knows_the_others(port, password),
        user=UNPRIVILEGED,
    )


def knows_the_others(port: int, password: str) -> bool:
    """Whether the sentinel could vote for a failover: it has found the replica, and the other sentinels."""
    try:
        with redis.Redis(port=port, password=password, socket_timeout=2, socket_connect_timeout=2) as client:
            state: Mapping[str, object] = client.sentinel_master(SERVICE)
    except redis.RedisError:
        return False
    return state["num-slaves"] == 1 and state["num-other-sentinels"] == SENTINELS - 1
