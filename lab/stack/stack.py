"""The servers of a shop on this machine, and the environment with which its processes join them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.sandbox.cards import TEST_CARDS
from lab.stack.forks import run_fork
from lab.stack.processes import Process, Supervisor
from lab.stack.profiles import read_profile
from lab.stack.servers import open_brokers, open_databases
from lab.stack.var import BASE_DIR, keep_secret, locked, make_private, throwaway_folder, write_private

APPS = ["lab.sandbox", "lab.simulation"]  # for the words of its cards in Korean; for its commands
NOWHERE = "http://127.0.0.1:9"  # nobody listens there


@dataclass(kw_only=True)
class Stack:
    """Running processes, and the environment with which another process joins them."""

    folder: Path
    supervisor: Supervisor
    caller_environment: Mapping[str, str]
    environment: dict[str, str]  # what the stack adds to it
    forking: bool = False  # whether its programs of Python are forks: see lab/stack/forks.py

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
        if self.forking:
            return run_fork(["manage.py", *arguments], env=self.full_environment)
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
    folder: Path | None = None,
    *,
    caller: Mapping[str, str] = os.environ,
    fsync: bool = True,
    forking: bool = False,
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
        yield Stack(
            folder=folder,
            supervisor=supervisor,
            caller_environment=caller,
            environment=environment,
            forking=forking,
        )


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
