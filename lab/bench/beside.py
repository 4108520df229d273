"""The baselines as running shops: in the stack of ours, with databases, a provider and workers of their own."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import psycopg

from lab.bench.shops import Shop
from lab.stack.embedded import free_port
from lab.stack.processes import Process, ProcessFailed
from lab.stack.servers import throwaway_database
from lab.stack.shop import make_service
from lab.stack.stack import Stack

SHARED = {"naive": ("postgres",), "typical": ("postgres", "valkey")}

STOCK = """
INSERT INTO baselines_stock (sku, price, on_hand)
SELECT * FROM unnest(%s::text[], %s::bigint[]) AS product (sku, price), (VALUES (%s::bigint)) AS stock (on_hand)
"""


@contextmanager
def run_baseline(stack: Stack, name: str) -> Iterator[Shop]:
    """`naive` or `typical`, served as our shop is: the same server, class of worker and number of threads.

    Its account at the provider is a provider of its own, so that our audit finds there what is ours alone.
    """
    with ExitStack() as exits:
        prefix = f"{name}-"
        databases = [
            exits.enter_context(throwaway_database(stack.environment["DATABASE_URL"], f"bench_{name}{suffix}"))
            for suffix in ("", "_sandbox")
        ]
        web, provider = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        own = {
            "DJANGO_SETTINGS_MODULE": "lab.bench.baselines.settings",
            "BASELINE": name,
            "DATABASE_URL": databases[0],
            "SANDBOX_DATABASE_URL": databases[1],
            "STRIPE_API_BASE": provider,
            "SANDBOX_WEBHOOK_URL": "",
        }
        baseline = replace(stack, environment=stack.environment | own)
        made = baseline.manage("migrate", "--run-syncdb", "--no-input")
        if made.returncode:
            raise ProcessFailed(made.stderr)
        services = make_services(baseline, prefix, web=web, provider=provider, celery=name == "typical")
        exits.callback(stack.supervisor.stop, *services)
        stack.supervisor.start(*services)
        stack.write_state()
        yield Shop(
            name=name,
            file=stack.folder / "stack.json",
            url=web,
            provider_url=provider,
            database_url=databases[0],
            orders_table="baselines_order",
            owned=lambda process: process.removeprefix(prefix) if process.startswith((prefix, *SHARED[name])) else "",
        )


def make_services(baseline: Stack, prefix: str, *, web: str, provider: str, celery: bool) -> list[Process]:
    """As the shop's own web process is started, but for the application and the address."""
    command = list(baseline.process("web").command)
    command[command.index("config.wsgi")] = "lab.bench.baselines.wsgi"
    command[command.index("--bind") + 1] = web.removeprefix("http://")
    assert command[:2] == [sys.executable, "-m"]  # noqa: S101 - what make_service writes
    bind = f"--bind {provider.removeprefix('http://')}"
    services = [
        make_service(baseline, f"{prefix}provider", f"lab.sandbox {bind}", url=provider),
        make_service(baseline, f"{prefix}web", command[2], *command[3:], url=web),
    ]
    if celery:
        services.append(make_service(baseline, f"{prefix}worker", "celery -A lab.bench.baselines worker"))
    return services


def stock_baseline(shop: Shop, skus: Sequence[str], prices: Sequence[int], units: int) -> None:
    """Put so many units of each product on its shelf."""
    with psycopg.connect(shop.database_url) as connection:
        connection.execute(STOCK, [list(skus), list(prices), units])
