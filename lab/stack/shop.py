"""The whole shop: payment provider, web, workers and beat on the stack's servers, each started again when it dies."""

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from lab.stack.embedded import free_port
from lab.stack.preparation import prepare
from lab.stack.processes import Process
from lab.stack.stack import Stack, run_servers
from lab.stack.var import keep_secret

WEB = "--worker-class config.buffering.BufferingWorker --preload --no-control-socket"
WEB_PROCESSES, WEB_THREADS = 2, 8
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


@contextmanager
def run_stack(
    folder: Path | None = None,
    *,
    caller: Mapping[str, str] = os.environ,
    fsync: bool = True,
    web_port: int = 0,
    forking: bool = False,
) -> Iterator[Stack]:
    """The servers of `run_servers`, and every process of the shop on them; stack.json in the folder names them.

    Each is started again when it dies. All are gone at the end, and also when this process is killed. With `forking`
    each process of ours starts in a fraction of the time: see lab/stack/forks.py.
    """
    with run_servers(folder, caller=caller, fsync=fsync, forking=forking) as stack:
        provider, web = free_port(), free_port(web_port)
        stack.environment["STRIPE_API_BASE"] = f"http://127.0.0.1:{provider}"
        stack.environment["STRIPE_JS_URL"] = f"http://127.0.0.1:{provider}/stripe.js"
        stack.environment["SHOP_URL"] = f"http://127.0.0.1:{web}"
        stack.environment |= wire_webhooks(stack)
        prepare(stack, throwaway=folder is None)
        services = [
            make_service(stack, "provider", f"lab.sandbox --bind 127.0.0.1:{provider}", url=stack.provider_url),
            make_web(stack, "web", url=stack.web_url),
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


def make_web(
    stack: Stack,
    name: str,
    *,
    url: str,
    workers: int = WEB_PROCESSES,
    threads: int = WEB_THREADS,
    pool: int = POOLS["web"],
) -> Process:
    """A web server of the stack at the URL, not started."""
    command = f"gunicorn config.wsgi --bind {urlsplit(url).netloc} {WEB} --workers {workers} --threads {threads}"
    return make_service(stack, name, command, url=url, pool=pool)


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
        forking=stack.forking,
    )


def answers_http(url: str) -> bool:
    """Whether anything at all comes back: an error is an answer too."""
    try:
        urllib.request.urlopen(url, timeout=2).close()  # noqa: S310 - our own address
    except urllib.error.HTTPError as answer:
        answer.close()
    except OSError:
        return False
    return True
