"""RabbitMQ from Debian's package, on free ports of 127.0.0.1, and the register of nodes (epmd) that it needs."""

import os
import shutil
import signal
from pathlib import Path

from kombu import Connection

from lab.stack.embedded import UNPRIVILEGED, ServersMissing, free_port, give_away, listens
from lab.stack.processes import Process
from lab.stack.var import keep_secret, write_private

# Not /usr/sbin/rabbitmq-server, which would become another user and use the machine's own folders.
PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
QUIET = "+sbwt none +sbwtdcpu none +sbwtdio none"  # it would spin while it waits, on cores that the shop needs


def rabbitmq(folder: Path, *, log: Path) -> tuple[list[Process], str]:
    """A RabbitMQ with its data in the folder, to be started, and its URL. Raises ServersMissing."""
    if not PROGRAM.exists() or not shutil.which("epmd"):
        raise ServersMissing("RabbitMQ is not installed: apt-get install --no-install-recommends rabbitmq-server")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    password, port, register = keep_secret(folder / "password"), free_port(), free_port()
    config = write_config(folder, port=port, password=password)
    environment = make_environment(folder, config, register=register)
    url = f"amqp://orderly:{password}@127.0.0.1:{port}//"
    nodes = Process(
        name="epmd",
        command=["epmd"],
        env=environment,
        log=log,
        is_ready=lambda: listens(register),
        user=UNPRIVILEGED,
    )
    server = Process(
        name="rabbitmq",
        command=[str(PROGRAM)],
        env=environment,
        log=log,
        is_ready=lambda: answers_amqp(url),
        stop_signal=signal.SIGTERM,
        user=UNPRIVILEGED,
    )
    return [nodes, server], url


def write_config(folder: Path, *, port: int, password: str) -> Path:
    config = folder / "rabbitmq.conf"
    settings = {
        "listeners.tcp.1": f"127.0.0.1:{port}",
        "default_user": "orderly",  # of a new data folder; the folder keeps them, and so does the file
        "default_pass": password,
        "log.console": "true",
        "log.console.level": "warning",
        "log.file": "false",
        "disk_free_limit.absolute": "50MB",
    }
    write_private(config, "".join(f"{name} = {value}\n" for name, value in settings.items()))
    give_away(folder, config)
    return config


def make_environment(folder: Path, config: Path, *, register: int) -> dict[str, str]:
    """What both processes are told: nothing of the machine's own RabbitMQ. `register` is the port of epmd."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),  # it keeps the secret there that nodes share
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(register),
        "ERL_CRASH_DUMP": os.devnull,
        "RABBITMQ_CONF_ENV_FILE": os.devnull,  # the machine's own
        "RABBITMQ_CONFIG_FILE": str(config),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_NODENAME": "orderly@localhost",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{QUIET} -kernel inet_dist_use_interface {{127,0,0,1}}",
        "RUNNING_UNDER_SYSTEMD": "1",  # its script becomes the server, instead of starting it
    }


def answers_amqp(url: str) -> bool:
    try:
        with Connection(url, connect_timeout=2) as connection:
            connection.connect()
    except connection.connection_errors:
        return False
    return True
