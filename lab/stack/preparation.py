"""What a shop needs before its processes start: tables and static files, made once for all throwaway stacks."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from lab.stack.processes import ProcessFailed, child_command
from lab.stack.stack import Stack
from lab.stack.var import BASE_DIR, VAR, make_private

KEPT = VAR / "prepared"
KEPT_FOR = 86_400  # seconds since it was last used
READ = ("DJANGO_SETTINGS_MODULE", "ARCHIVE_DIR")  # the settings that decide about tables, and the rows of `audit_tick`
# The time from which a task can be late: of this database's beginning, not of its original's.
SINCE_NOW = "UPDATE public.audit_tick SET ended_at = DEFAULT;\n"


def prepare(stack: Stack, *, throwaway: bool) -> None:
    """Migrate, and collect the static files. Raises ProcessFailed with what was printed.

    A throwaway stack on the embedded servers gets a copy of what the first one made from the same files.
    """
    if not (throwaway and is_plain(stack)):
        make(stack)
        return
    kept = KEPT / compute_key(BASE_DIR, stack.caller_environment)
    with locked():
        is_new = not kept.exists()
        if not is_new:
            os.utime(kept)
        else:
            make(stack)
            if compute_key(BASE_DIR, stack.caller_environment) == kept.name:  # or somebody edits these very files
                keep(stack, kept)
    if not is_new:
        restore(stack, kept)


def is_plain(stack: Stack) -> bool:
    """Whether its tables are those of any other stack: with a pooler, a migration also writes down time limits."""
    others = stack.caller_environment.get("DATABASE_URL"), stack.caller_environment.get("EXTRA_APPS")
    return not any(others) and "DATABASE_POOLER" not in stack.full_environment


def make(stack: Stack) -> None:
    """Migrate and collect, at the same time."""
    database = "direct" if "DATABASE_POOLER" in stack.environment else "default"
    run(
        stack.full_environment,
        [sys.executable, "manage.py", "migrate", "--no-input", "--database", database],
        [sys.executable, "manage.py", "collectstatic", "--no-input", "--clear"],
    )


def keep(stack: Stack, kept: Path) -> None:
    """Copy both, whole or not at all. What nobody has used for long goes."""
    for folder in KEPT.iterdir():
        if folder.is_dir() and time.time() - folder.stat().st_mtime > KEPT_FOR:
            shutil.rmtree(folder)
    unfinished = Path(tempfile.mkdtemp(dir=KEPT))
    tables, environment = unfinished / "tables.sql", stack.full_environment
    run(environment, ["pg_dump", "--file", str(tables), environment["DATABASE_DIRECT_URL"]])
    with tables.open("a") as file:
        file.write(SINCE_NOW)
    shutil.copytree(environment["STATIC_ROOT"], unfinished / "static")
    unfinished.rename(kept)


def restore(stack: Stack, kept: Path) -> None:
    environment = stack.full_environment
    psql = ["psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set", "ON_ERROR_STOP=1"]
    run(environment, [*psql, "--file", str(kept / "tables.sql"), environment["DATABASE_DIRECT_URL"]])
    shutil.copytree(kept / "static", environment["STATIC_ROOT"])


def compute_key(checkout: Path, caller: Mapping[str, str]) -> str:
    """A name for all that the tables and the static files are made from: files, settings, and what is installed."""
    digest = sha256(repr([caller.get(name) for name in READ]).encode())
    digest.update(b"".join(file.read_bytes() for file in checkout.glob(".env")))
    for folder in sorted(checkout.iterdir()):
        if folder.is_dir() and folder.name != VAR.name and not folder.name.startswith("."):
            for file in sorted(path for path in folder.rglob("*") if path.suffix != ".pyc" and path.is_file()):
                digest.update(f"{file}\n".encode() + sha256(file.read_bytes()).digest())
    for path in map(Path, sys.path):
        digest.update("".join(sorted(found.name for found in path.glob("*.dist-info"))).encode())
    return digest.hexdigest()[:32]


@contextmanager
def locked() -> Iterator[None]:
    """Wait for another stack that makes it just now."""
    make_private(KEPT)
    with (KEPT / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(environment: Mapping[str, str], *commands: Sequence[str]) -> None:
    """Run the commands at the same time. Raises ProcessFailed with what they printed."""
    running = [
        subprocess.Popen(
            child_command(command),
            cwd=BASE_DIR,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in commands
    ]
    for process in running:
        output, _ = process.communicate()
        if process.returncode:
            raise ProcessFailed(output)
