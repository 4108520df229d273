"""Backups of a shop in the middle of its day, restored and asked what they lack."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from psycopg import sql

from accounts.models import User
from audit.drill import ask, is_behind, read_facts
from audit.models import Difference
from audit.reconciliation import reconcile
from audit.remedies import adopt_difference, propose_remedy, refund_difference, review_difference
from audit.restoring.dumps import new_database, split_password
from audit.restoring.programs import RestoreFailed
from audit.restoring.sources import restored
from audit.services import audit_orders
from audit.surplus import refund_all_surplus
from orders.models import Order
from orders.services import finalize_order
from tests.audit.backups import copy_server, dump, go_back_to, list_databases
from tests.audit.hole import begin_day, dig_hole, end
from tests.audit.tampering import GHOST
from tests.builders import everything, make_confirmed, make_order
from tests.provider import Provider

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("gateway", "empty_ledger", "shop")]
REMEDIES: dict[str, Callable[..., None]] = {
    "adopt": adopt_difference,
    "refund": refund_difference,
    "review": review_difference,
}
CLEAN = r"""The backup has 1 order, the last of .+
0 orders are pending\. They go on once the workers run\.
No money would be without an order\.
"""
BACKUPS: dict[str, Callable[[Path], Path]] = {
    "custom": lambda folder: dump(folder / "shop.dump"),
    "directory": lambda folder: dump(folder / "shop", "--format=directory"),
    "tar": lambda folder: dump(folder / "shop.tar", "--format=tar"),
    "plain": lambda folder: dump(folder / "shop.sql", "--format=plain"),
    "base backup": lambda folder: copy_server(folder / "base"),
    "base backup in tar": lambda folder: copy_server(folder / "base", "--format=tar", "--gzip"),
}


def drill(path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, str]:
    """The exit code, and what was printed as the result and beside it."""
    try:
        call_command("drill", "--from", str(path), *options)
    except SystemExit as exit_:
        code = exit_.code
    else:
        code = 0
    printed = capsys.readouterr()
    return int(code or 0), printed.out, printed.err


def by_remedy(report: dict[str, Any]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for difference in report["differences"]:
        found.setdefault(difference["remedy"], set()).add(difference["reference"])
    return found


def test_a_drill_names_what_happened_after_the_dump_and_the_remedies_put_it_right(
    provider: Provider, tmp_path: Path, capsys: pytest.CaptureFixture[str], admin_user: User
) -> None:
    day = begin_day()
    path = dump(tmp_path / "shop.dump")
    lost = dig_hole(day)
    give_back_by_mistake(provider, admin_user)
    before, databases = everything(), list_databases()

    code, result, progress = drill(path, capsys, "--json")

    report = json.loads(result)
    assert (code, report["ok"]) == (1, False)
    assert by_remedy(report) == {"refund": lost, "adopt": {day.waiting.code, day.paid.code}}
    assert {code for found in report["violations"] if found["invariant"] == "A6" for code in found["codes"]} == lost
    assert (report["restored"]["orders"], report["restored"]["pending"]) == (3, 2)
    assert re.search(r"Restoring into the new database .*_drill_\w+ \.\.\.\n  public\.\w+\n", progress)
    assert everything() == before
    assert list_databases() == databases

    go_back_to(path)
    assert put_right(admin_user) == {"refund": lost, "adopt": {day.waiting.code, day.paid.code}}
    finalize_order(code=day.waiting.code)
    end(day.unknown)
    assert audit_orders()["violations"] == []
    assert Order.objects.filter(status=Order.Status.CONFIRMED).count() == 3
    assert [refund.amount for refund in day.paid.payment.refunds.all()] == [200]


@pytest.mark.parametrize("kind", BACKUPS)
def test_each_kind_of_backup_is_restored_beside_the_shop_and_is_gone_afterwards(kind: str, tmp_path: Path) -> None:
    make_order()
    path = BACKUPS[kind](tmp_path)
    make_order()
    before, databases = everything(), list_databases()

    with restored(path, os.environ["DATABASE_URL"], lambda _: None) as url:
        facts = read_facts(url)
        assert not is_behind(url)

    assert (facts["orders"], facts["pending"]) == (1, 1)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    assert list_databases() == databases
    assert everything() == before


def test_a_drill_of_an_older_shop_that_lacks_nothing_migrates_it_and_exits_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_confirmed(1)
    with migration_missing("orders", "0014_search"):
        path = dump(tmp_path / "shop.dump")

    code, result, progress = drill(path, capsys)

    assert "Migrating it ..." in progress
    assert re.fullmatch(CLEAN, result), result
    assert code == 0


@contextmanager
def migration_missing(app: str, name: str) -> Iterator[None]:
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied(app, name)
    try:
        yield
    finally:
        recorder.record_applied(app, name)


@contextmanager
def newer_shop() -> Iterator[None]:
    """A shop with a migration that this code lacks."""
    recorder = MigrationRecorder(connection)
    recorder.record_applied("orders", "9999_of_tomorrow")
    try:
        yield
    finally:
        recorder.record_unapplied("orders", "9999_of_tomorrow")


def test_a_backup_of_a_newer_shop_is_refused(tmp_path: Path) -> None:
    with newer_shop():
        path = dump(tmp_path / "shop.dump")

    words = r"A newer Orderly made the backup.* orders.9999_of_tomorrow"
    with restored(path, os.environ["DATABASE_URL"], lambda _: None) as url, pytest.raises(RestoreFailed, match=words):
        is_behind(url)


def make_future(folder: Path) -> Path:
    """A dump whose format is newer than any pg_restore."""
    path = dump(folder / "shop.dump")
    header = bytearray(path.read_bytes())
    header[6] = 99
    path.write_bytes(header)
    return path


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "nothing": (lambda folder: folder / "none.dump", r"none\.dump can't be read: No such file"),
    "an empty folder": (lambda folder: folder, r"is no backup: it has no toc\.dat"),
    "a text": (lambda folder: write(folder / "notes.txt", "Buy tea.\n"), "is no dump of Orderly"),
    "another program's dump": (
        lambda folder: dump(folder / "other.dump", "--format=custom", "--table=django_session"),
        "is no dump of Orderly",
    ),
    "a dump that leads to the shop's own database": (
        lambda folder: dump(folder / "shop.sql", "--format=plain", "--create"),
        r"has the command \\connect in it\. Make the dump without --create",
    ),
    "a script that leads there in the middle of a line": (
        lambda folder: write(folder / "shop.sql", "CREATE TABLE orders_order ();  \\connect orderly\n"),
        r"has the command \\connect in it",
    ),
    "a dump of a newer pg_dump": (make_future, r"unsupported version.*\n.*put the programs of that version on PATH"),
    "a compressed dump": (
        lambda folder: dump(folder / "shop.sql.gz", "--format=plain", "--compress=gzip"),
        "is compressed: unpack it first",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_can_not_be_restored_is_refused_with_the_reason_and_leaves_nothing(what: str, tmp_path: Path) -> None:
    make, words = REFUSED[what]
    path, databases = make(tmp_path), list_databases()

    with pytest.raises(CommandError, match=f"(?s)Nothing is known: .*{words}") as refusal:
        call_command("drill", "--from", str(path))

    assert refusal.value.returncode == 2
    assert list_databases() == databases


def write_program(path: Path, does: str) -> None:
    """A pg_restore that lists what Orderly's dumps have, and then does something else."""
    path.write_text(f'#!/bin/sh\n[ "$1" = --list ] && echo "0; TABLE orders_order x" && exit\n{does}\n')
    path.chmod(0o755)


def test_a_full_disk_is_named_and_what_was_made_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, databases = dump(tmp_path / "shop.dump"), list_databases()
    says = "pg_restore: error: could not extend file: No space left on device"
    write_program(tmp_path / "pg_restore", f'echo "{says}" >&2; exit 1')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    with pytest.raises(CommandError, match=r"No space left on device\nThe disk is full\. Free some of it"):
        call_command("drill", "--from", str(path))

    assert list_databases() == databases


@pytest.fixture
def shop_url() -> Iterator[str]:
    """Of a shop whose database has a name that a URL has to quote."""
    name, url = sql.Identifier('my "50%" shop'), urlsplit(os.environ["DATABASE_URL"])
    with psycopg.connect(url.geturl(), autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(name))
        yield url._replace(path="/my%20%2250%25%22%20shop").geturl()
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def test_a_role_that_may_make_no_database_is_told_how_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, name = dump(tmp_path / "shop.dump"), f"poor_{uuid4().hex}"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'poor'").format(sql.Identifier(name)))
        try:
            url = urlsplit(os.environ["DATABASE_URL"])
            monkeypatch.setenv("DATABASE_URL", url._replace(netloc=f"{name}:poor@127.0.0.1:{url.port}").geturl())
            with pytest.raises(CommandError, match=r"permission denied.*\n.*CREATEDB"):
                call_command("drill", "--from", str(path))
        finally:
            server.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_a_database_may_have_any_name(shop_url: str) -> None:
    databases = list_databases()

    with new_database(shop_url, lambda _: None) as url, psycopg.connect(url) as made:
        assert made.info.dbname.startswith('my "50%" shop_drill_')

    assert list_databases() == databases


def test_a_drill_that_is_stopped_drops_what_it_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, databases = dump(tmp_path / "shop.dump"), list_databases()
    write_program(tmp_path / "pg_restore", "exec sleep 600")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    command = [sys.executable, "manage.py", "drill", "--from", str(path)]
    with subprocess.Popen(command, cwd=settings.BASE_DIR, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr
        assert running.stderr.readline().startswith("Restoring into the new database")
        assert list_databases() != databases
        running.terminate()
        assert "is dropped" in running.stderr.read()
    assert running.returncode == 128 + signal.SIGTERM
    assert list_databases() == databases


def test_without_postgresqls_programs_the_drill_says_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dump(tmp_path / "shop.dump")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(CommandError, match="pg_restore is not on PATH"):
        call_command("drill", "--from", str(path))


def test_a_shop_with_a_waiting_room_may_ask_a_backup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAITING_ROOM", "checkout")

    assert json.loads(ask(os.environ["DATABASE_URL"], "audit", "--json"))["violations"] == []


def test_a_provider_that_does_not_answer_leaves_nothing_known(
    provider: Provider, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, databases = dump(tmp_path / "shop.dump"), list_databases()
    provider.control(fault="down")

    with pytest.raises(CommandError, match=r"`manage\.py reconcile --json` failed.*\n.*Nothing is known") as refusal:
        call_command("drill", "--from", str(path))

    assert refusal.value.returncode == 2
    assert list_databases() == databases


def test_a_password_is_on_no_command_line() -> None:
    options, environment = split_password("postgres://shop:s%40crets@one,two/shop?sslmode=require")

    assert "s@crets" not in options
    assert environment == {"PGPASSWORD": "s@crets"}


def give_back_by_mistake(provider: Provider, actor: User) -> None:
    """Give money of no order back, as differences whose ids come again after the restore."""
    for _ in range(8):
        provider.charge_again(GHOST, amount=700)
    assert put_right(actor) == {"refund": {GHOST}}


def put_right(actor: User) -> dict[str, set[str]]:
    """Do what is proposed about each difference. Return whose they were, by remedy."""
    reconcile()
    done: dict[str, set[str]] = {}
    for difference in Difference.objects.unresolved():
        remedy = propose_remedy(difference)
        REMEDIES[remedy](pk=difference.pk, actor=actor, note="Restored.")
        done.setdefault(remedy, set()).add(difference.reference)
    refund_all_surplus()
    return done
