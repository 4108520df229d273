"""The whole shop on this machine: servers, payment provider, web, workers and beat, each started again when it dies."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lab.sandbox.cards import TEST_CARDS
from lab.stack.embedded import free_port
from lab.stack.processes import Process, ProcessFailed, Supervisor, child_command
from lab.stack.profiles import read_profile
from lab.stack.servers import open_brokers, open_databases
from lab.stack.var import BASE_DIR, keep_secret, locked, make_private, throwaway_folder, write_private

APPS = ["lab.sandbox", "lab.simulation"]  # for the words of its cards in Korean; for its commands
NOWHERE = "http://127.0.0.1:9"  # nobody listens there
# `migrate` has made Django's checks. They are a sixth of the time that a worker takes to start.
WORKER = "celery -A config --skip-checks worker --without-gossip --without-mingle --loglevel INFO"
# The queues that each worker reads. config/celery_settings.py says which task goes to which, docs/operating.md why.
WORKERS = {
    # Its tasks wait for the provider. At 300 ms for a payment so many threads charge 160 a second.
    "payments": "--queues payments --pool threads --concurrency 48",
    "orders": "--queues orders,sweep --pool solo --concurrency 1",
    "mails": "--queues mails --pool solo --concurrency 1",
    "webhooks": "--queues webhooks --pool threads --concurrency 16",  # its tasks wait for whoever is told
}
POOLS = {"web": 6, "payments": 3, "webhooks": 2}  # connections to the database that the threads of a process share


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
        """One of postgres, valkey, provider, web, payments, orders, mails, webhooks, beat."""
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
                "database": self.environment["DATABASE_DIRECT_URL"],
                "redis": self.environment["REDIS_URL"],
                "broker": self.environment["BROKER_URL"] or self.environment["REDIS_URL"],
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

    The caller's ORDERLY_PROFILE names others: see lab/stack/profiles.py.
    With a folder the data stay, in it or on the given servers. Without one they are thrown away at the end: a temporary
    folder, or on the given servers a temporary database and the keys of a random prefix; nothing else there is touched.

    Raises AlreadyRunning when another stack uses the folder, UnknownProfile, ServersMissing and ProcessFailed.
    """
    with ExitStack() as exits:
        throwaway = folder is None
        folder = folder or exits.enter_context(throwaway_folder())
        close_to_others(folder)
        exits.enter_context(locked(folder))
        supervisor = exits.enter_context(Supervisor())
        environment, profile = make_environment(folder, caller), read_profile(caller)
        environment |= exits.enter_context(
            open_brokers(supervisor, folder, caller, profile=profile, throwaway=throwaway)
        )
        environment |= exits.enter_context(
            open_databases(supervisor, folder, caller, profile=profile, throwaway=throwaway, fsync=fsync)
        )
        yield Stack(folder=folder, supervisor=supervisor, caller_environment=caller, environment=environment)


def close_to_others(folder: Path) -> None:
    for private in (folder, folder / "log"):
        make_private(private)
    for log in (folder / "log").iterdir():
        log.chmod(0o600)  # those of before, also of processes that there are no more


def make_environment(folder: Path, caller: Mapping[str, str]) -> dict[str, str]:
    """The shop's settings, but for the addresses of its servers. The folder keeps the secrets."""
    return {
        "DJANGO_SETTINGS_MODULE": caller.get("DJANGO_SETTINGS_MODULE", "config.settings"),
        "EXTRA_APPS": ",".join(filter(None, [caller.get("EXTRA_APPS", ""), *APPS])),
        "ORDERLY_LOCAL": "1",
        "PYTHONUNBUFFERED": "1",
        "STATIC_ROOT": str(folder / "static"),
        "MEDIA_ROOT": str(folder / "media"),
        "SECRET_KEY": keep_secret(folder / "secret_key"),
        "API_TOKENS": keep_secret(folder / "api_token"),
        "API_REFUND_TOKENS": keep_secret(folder / "refund_token"),
        "WEBHOOK_NETWORKS": "127.0.0.0/8,::1/128",
        "STRIPE_API_KEY": "sk_test_sandbox",
        "STRIPE_API_BASE": NOWHERE,
        "STRIPE_PUBLISHABLE_KEY": "pk_test_sandbox",
        "STRIPE_JS_URL": f"{NOWHERE}/stripe.js",
        "SHOP_PAYMENT_METHODS": ";".join(f"{token}={title}" for token, title in TEST_CARDS.items()),
    }


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
        stack.environment["STRIPE_JS_URL"] = f"http://127.0.0.1:{provider}/stripe.js"
        stack.environment["SHOP_URL"] = f"http://127.0.0.1:{web}"
        stack.environment |= wire_webhooks(stack)
        prepare(stack)
        services = [
            make_service(stack, "provider", f"lab.sandbox --bind 127.0.0.1:{provider}", url=stack.provider_url),
            make_service(
                stack,
                "web",
                f"gunicorn config.wsgi --bind 127.0.0.1:{web} --worker-class config.buffering.BufferingWorker"
                " --workers 2 --threads 8 --preload --no-control-socket",
                url=stack.web_url,
                pool=POOLS["web"],
            ),
            *(
                make_service(stack, name, f"{WORKER} {options} -n {name}@%h", pool=POOLS.get(name, 0))
                for name, options in WORKERS.items()
            ),
            make_service(
                stack, "beat", "celery -A config --skip-checks beat", "--schedule", str(stack.folder / "beat")
            ),
        ]
        try:
            stack.supervisor.start(*services)
            stack.supervisor.on_change = stack.write_state
            stack.write_state()
            yield stack
        finally:
            stack.supervisor.stop(*services)
            (stack.folder / "stack.json").unlink(missing_ok=True)


def wire_webhooks(stack: Stack) -> dict[str, str]:
    """The secret that signs events, and the address to which the provider sends them unless SANDBOX_WEBHOOKS is 0."""
    secret = keep_secret(stack.folder / "webhook_secret")
    is_on = stack.caller_environment.get("SANDBOX_WEBHOOKS", "1") != "0"
    return {
        "STRIPE_WEBHOOK_SECRETS": secret,
        "SANDBOX_WEBHOOK_SECRET": secret,
        "SANDBOX_WEBHOOK_URL": f"{stack.web_url}/payments/webhooks/stripe/" if is_on else "",
    }


def make_service(stack: Stack, name: str, module: str, *arguments: str, url: str = "", pool: int = 0) -> Process:
    """A process of the stack, `python -m` the module, not started. With a URL it is ready once that answers.

    `pool` is its DATABASE_POOL.
    """
    return Process(
        name=name,
        command=[sys.executable, "-m", *module.split(), *arguments],
        env={**stack.full_environment, "DATABASE_POOL": str(pool)},
        log=stack.log(name),
        is_ready=partial(answers_http, url) if url else lambda: True,
    )


def prepare(stack: Stack) -> None:
    """Migrate, and collect the static files, at the same time. Raises ProcessFailed with what they printed."""
    database = "direct" if "DATABASE_POOLER" in stack.environment else "default"
    running = [
        subprocess.Popen(
            child_command([sys.executable, "manage.py", *command.split()]),
            cwd=BASE_DIR,
            env=stack.full_environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in (f"migrate --no-input --database {database}", "collectstatic --no-input --clear")
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
