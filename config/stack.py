"""The whole shop on this machine: servers, payment provider, web, workers and beat, each started again when it dies."""

import argparse
import json
import logging
import os
import secrets
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, LiteralString, NoReturn

import environ
import psycopg
from django.core.exceptions import ImproperlyConfigured

from config.embedded import ServersMissing, free_port
from config.processes import Process, ProcessFailed, Supervisor, child_command
from config.servers import open_databases, open_redis
from config.var import BASE_DIR, VAR, AlreadyRunning, keep_secret, locked, make_private, throwaway_folder, write_private
from simulation.options import add_chaos_options

NOWHERE = "http://127.0.0.1:9"  # nobody listens there
WORKER = "celery -A config worker --without-gossip --without-mingle --loglevel INFO"
# Of the demo, in seconds: what a killed worker lost is taken up while somebody still watches.
DEMO_CLOCKS = {"STRIPE_TIMEOUT": "4", "SWEEP_AFTER": "5", "SWEEP_EVERY": "1"}
# Of a chaos run, in seconds: short, so that every order sees its deadline, yet longer than a frozen process sleeps.
CHAOS_CLOCKS = {
    "ORDER_EXPIRES_AFTER": "60",
    "SANDBOX_HANG_SECONDS": "6",
    "STRIPE_TIMEOUT": "4",
    "SWEEP_AFTER": "6",
    "SWEEP_AFTER_MAX": "20",
    "SWEEP_EVERY": "1",
}
CATALOG = "data/products.csv"
ADMIN = "admin@example.com"
STARTING = "Starting PostgreSQL, Valkey, the payment provider, web, workers and beat ..."
WELCOME = """
Shop              {stack.web_url}/
Admin             {stack.web_url}/admin/
                  {login}
Payment provider  {stack.provider_url}
Logs              {stack.folder}/log

`.venv/bin/python manage.py ...` in another terminal uses this stack. Ctrl-C stops it; the data stay.
"""


@dataclass(kw_only=True)
class Stack:
    """Running processes, and the environment with which another process joins them."""

    folder: Path
    supervisor: Supervisor
    caller_environment: Mapping[str, str]
    environment: dict[str, str]  # what the stack adds to it

    @property
    def web_url(self) -> str:
        return self.environment["SHOP_URL"]

    @property
    def provider_url(self) -> str:
        return self.environment["STRIPE_API_BASE"]

    @property
    def full_environment(self) -> dict[str, str]:
        return {**self.caller_environment, **self.environment}

    def process(self, name: str) -> Process:
        """One of postgres, valkey, provider, web, payments, orders, mails, beat."""
        return next(process for process in self.supervisor.processes if process.name == name)

    def log(self, name: str) -> Path:
        return self.folder / "log" / f"{name}.log"

    def manage(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a management command in the stack's environment, its output captured."""
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, cwd=BASE_DIR, env=self.full_environment, capture_output=True, text=True, check=False
        )

    def write_state(self) -> None:
        """Tell other processes of this stack, in stack.json."""
        write_private(self.folder / "stack.json", json.dumps(self.describe(), indent=2))

    def describe(self) -> dict[str, Any]:
        """What stack.json says while the stack runs."""
        return {
            "pid": os.getpid(),
            "folder": str(self.folder),
            "urls": {
                "web": self.web_url,
                "admin": f"{self.web_url}/admin/",
                "provider": self.provider_url,
                "database": self.environment["DATABASE_URL"],
                "redis": self.environment["REDIS_URL"],
            },
            "processes": {
                process.name: {"pid": process.pid, "restarts": process.restarts}
                for process in self.supervisor.processes
            },
            "environment": self.environment,
        }


@contextmanager
def run_servers(
    folder: Path | None = None, *, caller: Mapping[str, str] = os.environ, fsync: bool = True
) -> Iterator[Stack]:
    """PostgreSQL and Valkey for Django to use, embedded unless the caller's environment has DATABASE_URL and REDIS_URL.

    With a folder the data stay, in it or on the given servers. Without one they are thrown away at the end: a temporary
    folder, or on the given servers a temporary database and the keys of a random prefix; nothing else there is touched.

    Raises AlreadyRunning when another stack uses the folder, ServersMissing and ProcessFailed.
    """
    with ExitStack() as exits:
        throwaway = folder is None
        folder = folder or exits.enter_context(throwaway_folder())
        for private in (folder, folder / "log"):
            make_private(private)
        for log in (folder / "log").iterdir():
            log.chmod(0o600)  # those of before, also of processes that there are no more
        exits.enter_context(locked(folder))
        supervisor = exits.enter_context(Supervisor())
        environment = {
            "DJANGO_SETTINGS_MODULE": caller.get("DJANGO_SETTINGS_MODULE", "config.settings"),
            "ORDERLY_LOCAL": "1",
            "PYTHONUNBUFFERED": "1",
            "STATIC_ROOT": str(folder / "static"),
            "SECRET_KEY": keep_secret(folder / "secret_key"),
            "API_TOKENS": keep_secret(folder / "api_token"),
            "STRIPE_API_KEY": "sk_test_sandbox",
            "STRIPE_API_BASE": NOWHERE,
        }
        environment |= exits.enter_context(open_redis(supervisor, folder, caller, throwaway=throwaway))
        environment |= exits.enter_context(open_databases(supervisor, folder, caller, throwaway=throwaway, fsync=fsync))
        yield Stack(folder=folder, supervisor=supervisor, caller_environment=caller, environment=environment)


@contextmanager
def run_stack(
    folder: Path | None = None, *, caller: Mapping[str, str] = os.environ, fsync: bool = True, web_port: int = 0
) -> Iterator[Stack]:
    """The servers of `run_servers`, and every process of the shop on them; stack.json in the folder names them.

    Each is started again when it dies. All are gone at the end, and also when this process is killed.
    """
    with run_servers(folder, caller=caller, fsync=fsync) as stack:
        provider, web = free_port(), free_port(web_port)
        stack.environment["STRIPE_API_BASE"] = f"http://127.0.0.1:{provider}"
        stack.environment["SHOP_URL"] = f"http://127.0.0.1:{web}"
        prepare(stack)
        services = [
            _service(stack, "provider", f"payments.sandbox --bind 127.0.0.1:{provider}", url=stack.provider_url),
            _service(
                stack,
                "web",
                f"gunicorn config.wsgi --bind 127.0.0.1:{web} --worker-class config.buffering.BufferingWorker"
                " --workers 2 --threads 8 --preload --no-control-socket",
                url=stack.web_url,
            ),
            _service(stack, "payments", f"{WORKER} --queues payments --pool threads --concurrency 8 -n payments@%h"),
            _service(stack, "orders", f"{WORKER} --queues orders,sweep --pool solo --concurrency 1 -n orders@%h"),
            _service(stack, "mails", f"{WORKER} --queues mails --pool solo --concurrency 1 -n mails@%h"),
            _service(stack, "beat", "celery -A config beat", "--schedule", str(stack.folder / "beat")),
        ]
        try:
            stack.supervisor.start(*services)
            stack.supervisor.on_change = stack.write_state
            stack.write_state()
            yield stack
        finally:
            stack.supervisor.stop(*services)
            (stack.folder / "stack.json").unlink(missing_ok=True)


def _service(stack: Stack, name: str, module: str, *arguments: str, url: str = "") -> Process:
    return Process(
        name=name,
        command=[sys.executable, "-m", *module.split(), *arguments],
        env=stack.full_environment,
        log=stack.log(name),
        is_ready=partial(answers_http, url) if url else lambda: True,
    )


def prepare(stack: Stack) -> None:
    """Migrate, and collect the static files, at the same time. Raises ProcessFailed with what they printed."""
    running = [
        subprocess.Popen(
            child_command([sys.executable, "manage.py", *command.split()]),
            cwd=BASE_DIR,
            env=stack.full_environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in ("migrate --no-input", "collectstatic --no-input --clear")
    ]
    for process in running:
        output, _ = process.communicate()
        if process.returncode:
            raise ProcessFailed(output)


def answers_http(url: str) -> bool:
    """Whether anything at all comes back: an error is an answer too."""
    try:
        urllib.request.urlopen(url, timeout=2).close()  # noqa: S310 - our own address
    except urllib.error.HTTPError as answer:
        answer.close()
    except OSError:
        return False
    return True


def has_rows(stack: Stack, query: LiteralString) -> bool:
    with psycopg.connect(stack.environment["DATABASE_URL"]) as connection:
        return connection.execute(query).fetchone() is not None


def run() -> None:
    """Serve until Ctrl-C or SIGTERM, with products to sell and somebody to log in as."""
    print(STARTING, flush=True)
    with run_stack(VAR, web_port=8000) as stack:
        if not has_rows(stack, "SELECT FROM catalog_product LIMIT 1"):
            _manage(stack, "load_catalog", CATALOG, "--stock", "1000")
        login = "as before"
        if not has_rows(stack, "SELECT FROM accounts_user WHERE is_superuser LIMIT 1"):
            password = secrets.token_hex(8)
            _manage(stack, "createsuperuser", "--no-input", "--email", ADMIN, DJANGO_SUPERUSER_PASSWORD=password)
            login = f"{ADMIN}, password {password} (shown this once; `manage.py changepassword {ADMIN}` makes another)"
        print(WELCOME.format(stack=stack, login=login), flush=True)
        if not stack.web_url.endswith(":8000"):
            print("Port 8000 was taken.", flush=True)
        signal.pause()


def demo() -> int:
    """Run the demo on a throwaway stack; return its exit code."""
    print(STARTING, flush=True)
    with run_stack(caller={**DEMO_CLOCKS, **os.environ}) as stack:
        return _manage(stack, "demo", str(stack.folder / "stack.json"))


def chaos(arguments: Sequence[str]) -> int:
    """Strike a throwaway stack in every way while people buy; return the exit code. Its mails go nowhere else."""
    print(STARTING, file=sys.stderr, flush=True)
    port = free_port()
    mails = {"EMAIL_URL": f"smtp://127.0.0.1:{port}"}
    with run_stack(caller={**CHAOS_CLOCKS, **os.environ, **mails}) as stack:
        stack.environment |= mails
        module = f"simulation.mail_server --port {port}"
        stack.supervisor.start(_service(stack, "mail-server", module, "--folder", str(stack.folder)))
        stack.write_state()
        return _manage(stack, "chaos", str(stack.folder / "stack.json"), *arguments)


def execute(command: Sequence[str]) -> int:
    """Run the command with throwaway servers in its environment; return its exit code."""
    with run_servers(fsync=False) as stack:
        code = subprocess.call(child_command(command), env=stack.full_environment)
    return code if code >= 0 else 128 - code


def _manage(stack: Stack, *arguments: str, **environment: str) -> int:
    command = child_command([sys.executable, "manage.py", *arguments])
    return subprocess.call(command, cwd=BASE_DIR, env={**stack.full_environment, **environment})


def _exit(signal_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + signal_number)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m config.stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="serve until Ctrl-C; the data stay in var/, or in DATABASE_URL and REDIS_URL")
    commands.add_parser("demo", help="real orders while workers are killed, on a stack that is thrown away")
    chaos_help = "orders while processes die and neighbours are sick, on a stack that is thrown away"
    add_chaos_options(commands.add_parser("chaos", help=chaos_help, description=f"Make {chaos_help}."))
    execute_parser = commands.add_parser("exec", help="run a command with throwaway servers")
    execute_parser.add_argument("arguments", nargs="+", metavar="COMMAND", help="the command, after --")
    options = parser.parse_args()

    environ.Env.read_env(BASE_DIR / ".env")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's background job ignores it otherwise
    for sent in (signal.SIGTERM, signal.SIGHUP):  # end as on Ctrl-C: everything is stopped on the way out
        if signal.getsignal(sent) is not signal.SIG_IGN:  # nohup
            signal.signal(sent, _exit)
    try:
        if options.command == "exec":
            return execute(options.arguments)
        if options.command == "demo":
            return demo()
        if options.command == "chaos":
            return chaos(sys.argv[2:])
        run()
    except KeyboardInterrupt:
        return 0 if options.command == "run" else 130  # what `run` waits for, and make would call an error
    except (AlreadyRunning, ImproperlyConfigured, ProcessFailed, ServersMissing, psycopg.Error, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
