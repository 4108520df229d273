"""Where a stack keeps its data: in var/, or in a folder of its own inside it that is thrown away."""

import fcntl
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

BASE_DIR = Path(__file__).resolve().parents[2]
VAR = BASE_DIR / "var"
STALE_AFTER = 60  # seconds; a younger folder that nobody has locked may be about to be


class AlreadyRunning(Exception):
    """Another stack uses the folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep the folder to ourselves; the lock ends with us, however we end. Raises AlreadyRunning."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"A stack is running in {folder} already; {folder}/stack.json says where.") from None
        yield


def is_locked(folder: Path) -> bool:
    try:
        with (folder / "lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextmanager
def throwaway_folder() -> Iterator[Path]:
    """A new folder in var/, removed at the end; so are those whose stack was killed before it could."""
    make_private(VAR)
    for folder in VAR.glob("tmp-*"):
        if time.time() - folder.stat().st_mtime > STALE_AFTER and not is_locked(folder):
            shutil.rmtree(folder, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="tmp-", dir=VAR))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_private(folder: Path) -> None:
    """Make the folder where it is missing, for its owner alone; one that others could enter is narrowed.

    Mails with links to reset a password are printed to the logs in it. The servers that we start as another user come
    through it all the same: see lab/stack/child.py.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)


def open_private(path: Path) -> BinaryIO:
    """Open the file to append to it, readable by its owner alone from then on."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.fchmod(file, 0o600)
    return os.fdopen(file, "ab")


def keep_secret(path: Path) -> str:
    """The random secret kept in the file; made at the first call, readable by its owner alone."""
    if not path.exists() or path.stat().st_size == 0:
        write_private(path, secrets.token_urlsafe(48))
    return path.read_text()


def write_private(path: Path, text: str) -> None:
    """Replace the file as a whole, readable by its owner alone."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
        file.write(text)
    os.replace(file.name, path)
