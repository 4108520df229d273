"""Starts a copy of what pg_basebackup wrote as a server of its own, which only this machine's user can reach."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

from audit.restoring.programs import RestoreFailed, Tell, find_program, read_program, run_program

# The copy is no standby of the shop, touches nothing in its archive and waits for nobody. It reads from no publisher:
# what it took there the shop would never get. It has no port, only a socket.
SETTINGS = {
    "archive_cleanup_command": "",
    "archive_mode": "off",
    "fsync": "off",
    "hot_standby": "off",
    "listen_addresses": "",
    "logging_collector": "off",
    "max_logical_replication_workers": "0",
    "port": "5432",
    "primary_conninfo": "",
    "recovery_end_command": "",
    "recovery_target_action": "promote",
    "shared_preload_libraries": "",
    "ssl": "off",
    "synchronous_standby_names": "",
}
ALL_ARE_TRUSTED = "local all all trust\n"  # who can enter the socket's folder: its owner
HOURS = str(24 * 3600)  # seconds for its start: it may have much log to read
REJECTS = 1  # what pg_isready says meanwhile


@contextmanager
def restored_base_backup(path: Path, shop_url: str, tell: Tell) -> Iterator[str]:
    """The URL of the shop's database in a copy of the backup, gone at the end. Raises RestoreFailed.

    Root starts it as the backup's owner, for PostgreSQL refuses root.
    """
    user = find_user(path)
    folder = Path(tempfile.mkdtemp(prefix="orderly-drill-"))
    data = folder / "data"
    try:
        tell(f"Copying the backup to {folder} ...")
        prepare(path, data, user, tell)
        tell("Starting PostgreSQL on it ...")
        with running(data, tell, user):
            shop = urlsplit(shop_url)
            address = f"{shop.username or ''}@{shop.path}?host={quote(str(folder), safe='')}&port={SETTINGS['port']}"
            yield f"postgresql://{address}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def prepare(path: Path, data: Path, user: str, tell: Tell) -> None:
    """Make a copy that PostgreSQL can start and that can do no harm. Raises RestoreFailed."""
    try:
        data.mkdir(mode=0o700)
        unpack(path, data, tell)
        check_data(data)
        configure(data)
        if user:
            run_program("chown", "--recursive", f"{user}:", data.parent, tell=tell)
    except OSError as error:
        raise RestoreFailed(str(error)) from error


def find_user(path: Path) -> str:
    """Whom root becomes; empty for anybody else. Raises RestoreFailed."""
    if os.geteuid() != 0:
        return ""
    if path.stat().st_uid != 0:
        return path.owner()
    raise RestoreFailed(f"PostgreSQL does not run as root: run the drill as another user, or chown {path} to one.")


def unpack(path: Path, data: Path, tell: Tell) -> None:
    """Copy a backup, or extract its archives, base.tar and pg_wal.tar, compressed or not. Raises RestoreFailed."""
    if (path / "PG_VERSION").exists():
        run_program("cp", "--recursive", "--dereference", f"{path}/.", data, tell=tell)
        return
    base = path if path.is_file() else next(path.glob("base.tar*"))
    run_program("tar", "--extract", "--file", base, "--directory", data, tell=tell)
    for log in base.parent.glob("pg_wal.tar*"):
        run_program("tar", "--extract", "--file", log, "--directory", data / "pg_wal", tell=tell)


def check_data(data: Path) -> None:
    """Raises RestoreFailed where the programs on PATH can't start it, or it would reach out of its folder."""
    version = (data / "PG_VERSION").read_text().strip()
    ours = read_program("pg_ctl", "--version")
    if f" {version}." not in f"{ours.strip()}.":
        raise RestoreFailed(f"The backup is of PostgreSQL {version}, and on PATH is {ours.strip()}.")
    tablespaces = data / "tablespace_map"
    if (tablespaces.exists() and tablespaces.read_text()) or any((data / "pg_tblspc").iterdir()):
        raise RestoreFailed("The backup has tablespaces outside its folder. A drill restores none: use a dump.")


def configure(data: Path) -> None:
    """Let nothing of the shop's own settings count, but how its archived log is fetched: postgresql.auto.conf."""
    (data / "standby.signal").unlink(missing_ok=True)
    (data / "postgresql.conf").write_text("")
    (data / "pg_hba.conf").write_text(ALL_ARE_TRUSTED)
    (data / "pg_ident.conf").write_text("")
    settings = SETTINGS | {"unix_socket_directories": str(data.parent)}
    with (data / "postgresql.auto.conf").open("a") as file:  # the last line of a name counts
        file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())


@contextmanager
def running(data: Path, tell: Tell, user: str) -> Iterator[None]:
    log = data / "drill.log"
    start = ("start", "--wait", "--timeout", HOURS, "--pgdata", data, "--log", log)
    try:
        run_program("pg_ctl", *start, tell=tell, user=user)
        wait_until_ready(data.parent)
        yield
    except RestoreFailed as failure:
        said = log.read_text(errors="replace").splitlines() if log.exists() else []
        raise RestoreFailed("\n".join([str(failure), *(line for line in said if "FATAL" in line)])) from failure
    finally:
        if (data / "postmaster.pid").exists():
            run_program("pg_ctl", "stop", "--mode=immediate", "--pgdata", data, tell=tell, user=user)


def wait_until_ready(folder: Path) -> None:
    """Wait until all of its log is read. Raises RestoreFailed."""
    ask = [find_program("pg_isready"), "--quiet", f"--host={folder}", f"--port={SETTINGS['port']}"]
    while code := subprocess.run(ask, check=False).returncode:
        if code != REJECTS:
            raise RestoreFailed("PostgreSQL has ended while it read its log.")
        time.sleep(0.1)
