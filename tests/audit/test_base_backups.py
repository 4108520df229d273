"""A base backup is started as a server of its own, whatever its shop's settings say."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from django.db import connection

from audit.drill import Restored, read_facts
from audit.restoring.programs import RestoreFailed
from audit.restoring.sources import restored
from tests.audit.backups import copy_server
from tests.builders import make_order

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("shop")]
# Of a primary in production. Its copy would not start, or hang, change the shop's archive, or take what a publisher has
# for the shop.
PRODUCTION = """
archive_mode = 'on'
archive_command = 'touch /tmp/orderly-drill-archived'
archive_cleanup_command = 'pg_archivecleanup /backups/wal %r'
listen_addresses = '*'
max_logical_replication_workers = '4'
primary_conninfo = 'host=127.0.0.1 port=9'
recovery_end_command = 'touch /tmp/orderly-drill-recovered'
shared_preload_libraries = 'pg_stat_monitor'
ssl = 'on'
synchronous_standby_names = 'standby'
"""
HARMFUL: list[LiteralString] = ["archive_cleanup_command", "recovery_end_command", "max_logical_replication_workers"]


@pytest.fixture
def archive() -> Iterator[Path]:
    """A folder for the log, which PostgreSQL's user may read."""
    folder = Path(tempfile.mkdtemp(prefix="archive-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def restore(path: Path) -> Restored:
    with restored(path, os.environ["DATABASE_URL"], lambda _: None) as url:
        return read_facts(url)


def test_the_settings_of_the_shop_do_not_count(tmp_path: Path) -> None:
    make_order()
    base = copy_server(tmp_path / "base")
    with (base / "postgresql.auto.conf").open("a") as file:
        file.write(PRODUCTION)
    (base / "standby.signal").touch()

    with restored(base, os.environ["DATABASE_URL"], lambda _: None) as url:
        assert read_facts(url)["orders"] == 1
        with psycopg.connect(url) as copy:
            copy.execute("CREATE TABLE written ()")  # answered at once
            assert [copy.execute(f"SHOW {name}").fetchone() for name in HARMFUL] == [("",), ("",), ("0",)]

    assert not Path("/tmp/orderly-drill-archived").exists()  # noqa: S108


def test_a_moment_in_time_is_restored_from_the_archived_log(tmp_path: Path, archive: Path) -> None:
    base = copy_server(tmp_path / "base")
    make_order()
    moment = read_clock()
    make_order()
    archive_log(archive)
    (base / "recovery.signal").touch()
    settings = base / "postgresql.auto.conf"
    with settings.open("a") as file:
        file.write(f"restore_command = 'cp {archive}/%f \"%p\"'\n")

    assert restore(base)["orders"] == 2

    with settings.open("a") as file:
        file.write(f"recovery_target_time = '{moment}'\n")
    assert restore(base)["orders"] == 1


def read_clock() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment


def archive_log(folder: Path) -> None:
    """As archive_command does: every segment that is complete."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_walfile_name(pg_switch_wal()), current_setting('data_directory')")
        last, data = cursor.fetchone()
    for segment in (Path(data) / "pg_wal").glob("0*"):
        if segment.name <= last:
            shutil.copy(segment, folder)
            (folder / segment.name).chmod(0o644)


def make_backup(folder: Path, *, version: str) -> Path:
    """What is looked at before anything is started."""
    (folder / "pg_tblspc").mkdir(parents=True)
    (folder / "PG_VERSION").write_text(f"{version}\n")
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
    return folder


def test_a_backup_of_another_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RestoreFailed, match=r"The backup is of PostgreSQL 9.6, and on PATH is pg_ctl"):
        restore(make_backup(tmp_path / "base", version="9.6"))


def test_a_backup_whose_tablespaces_are_the_shops_own_is_refused(tmp_path: Path) -> None:
    base = make_backup(tmp_path / "base", version="18")
    (base / "tablespace_map").write_text("16384 /srv/fast\n")

    with pytest.raises(RestoreFailed, match="The backup has tablespaces outside its folder"):
        restore(base)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused")
def test_root_is_told_who_can_start_a_backup_that_belongs_to_root(tmp_path: Path) -> None:
    base = make_backup(tmp_path / "base", version="18")
    os.chown(base, 0, 0)

    with pytest.raises(RestoreFailed, match="PostgreSQL does not run as root: run the drill as another user"):
        restore(base)
