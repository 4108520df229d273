"""The drill: a backup is restored beside the shop, and asked what would be wrong if it were the shop's database now."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString, TypedDict

import psycopg
from django.apps import apps
from django.conf import settings
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from audit.restoring.programs import RestoreFailed, Tell, describe
from audit.restoring.sources import restored

NOBODY = "redis://127.0.0.1:9/0"  # nobody listens there
# Whoever asks the restored database publishes nothing, counts nothing and mails nobody.
ALONE = {
    "BROKER_URL": NOBODY,
    "DATABASE_POOL": "0",
    "DATABASE_POOLER": "none",
    "EMAIL_URL": "dummymail://",
    "REDIS_URL": "",
    "WAITING_ROOM": "off",  # it would miss Redis
}
FACTS = """
SELECT count(*), count(*) FILTER (WHERE status = 'PENDING'), max(created_at) FROM orders_order
"""
MIGRATIONS = "SELECT app, name FROM django_migrations"


class Restored(TypedDict):
    """What the backup has."""

    orders: int
    pending: int  # the sweep takes them up once the workers run
    last_placed_at: str | None  # where the hole begins


class Report(TypedDict):
    """`ok`: no money would be without an order. `differences` are those that reconcile would open, with its remedy."""

    ok: bool
    restored: Restored
    open: int
    differences: list[dict[str, Any]]
    violations: list[dict[str, Any]]


def run_drill(path: Path, *, days: int | None, tell: Tell) -> Report:
    """Restore the backup, compare it with each provider's ledger, and drop what was restored.

    The shop's database is not written to, and a provider is only read. `days` are those of its charges; None is all.
    Raises RestoreFailed.
    """
    shop_url = os.environ["DATABASE_DIRECT_URL" if settings.SESSION_DATABASE == "direct" else "DATABASE_URL"]
    with restored(path, shop_url, tell) as url:
        facts = read_facts(url)
        if is_behind(url):
            tell("Migrating it ...")
            ask(url, "migrate", "--no-input", "--verbosity", "0")
        tell("Comparing it with each provider's ledger ...")
        reconciled = json.loads(ask(url, "reconcile", "--json", *choose_since(days)))
        tell("Auditing it ...")
        audited = json.loads(ask(url, "audit", "--json", *(["--days", str(days)] if days else [])))
    return make_report(facts, reconciled, audited)


def make_report(facts: Restored, reconciled: Mapping[str, Any], audited: Mapping[str, Any]) -> Report:
    differences, violations = reconciled["differences"], audited["violations"]
    is_lost = any(found["kind"] == "missing_here" and found["remedy"] != "adopt" for found in differences)
    return {
        "ok": not (is_lost or any(violation["invariant"] == "A6" for violation in violations)),
        "restored": facts,
        "open": reconciled["open"],
        "differences": differences,
        "violations": violations,
    }


def read_facts(url: str) -> Restored:
    """Raises RestoreFailed where it is no database of Orderly."""
    orders, pending, last = query(url, FACTS)[0]
    return {"orders": orders, "pending": pending, "last_placed_at": last and write_time(last)}


def is_behind(url: str) -> bool:
    """Whether an older Orderly made it. Raises RestoreFailed if a newer one did."""
    known, installed = set(MigrationLoader(None).disk_migrations), {config.label for config in apps.get_app_configs()}
    applied = {(app, name) for app, name in query(url, MIGRATIONS) if app in installed}
    if unknown := sorted(f"{app}.{name}" for app, name in applied - known):
        raise RestoreFailed(f"A newer Orderly made the backup. Update this one first: it lacks {', '.join(unknown)}.")
    return applied != known


def query(url: str, statement: LiteralString) -> list[tuple[Any, ...]]:
    try:
        with psycopg.connect(url) as connection:
            return connection.execute(statement).fetchall()
    except psycopg.errors.UndefinedTable:
        raise RestoreFailed("The backup is not Orderly's: it has no orders, or was never migrated.") from None
    except psycopg.Error as error:
        raise RestoreFailed(describe(error)) from error


def ask(url: str, *arguments: str) -> str:
    """What a command says of the database. A process of its own asks: this one's settings name the shop's database.

    Raises RestoreFailed where nothing is known; that something is wrong is an answer.
    """
    command = [sys.executable, "manage.py", *arguments]
    environment = {**os.environ, **ALONE, "DATABASE_URL": url}
    done = subprocess.run(
        command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode > 1 or (not done.stdout and done.returncode):
        last_words = done.stderr.strip().splitlines()[-1:]
        raise RestoreFailed("\n".join([f"`manage.py {' '.join(arguments)}` failed on what was restored.", *last_words]))
    return done.stdout


def choose_since(days: int | None) -> list[str]:
    return ["--since", f"{timezone.now() - timedelta(days=days):%Y-%m-%d}"] if days else []


def write_time(time: datetime) -> str:
    return f"{time.astimezone(timezone.get_default_timezone()):%Y-%m-%d %H:%M:%S %Z}"
