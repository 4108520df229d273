"""Finds out what a backup is, and restores it where it can be asked."""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audit.restoring.base_backups import restored_base_backup
from audit.restoring.dumps import restored_archive, restored_script
from audit.restoring.programs import RestoreFailed, Tell

CUSTOM = b"PGDMP"  # how pg_dump's custom format begins
COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18")  # gzip, zstd, lz4


@contextmanager
def restored(path: Path, shop_url: str, tell: Tell) -> Iterator[str]:
    """The URL of a database with what the backup has. It is there for as long as the block runs.

    A dump goes into a new database on the server of the shop's URL. A base backup gets a server of its own. Neither the
    backup nor the shop's database is changed. Raises RestoreFailed.
    """
    restore = {"archive": restored_archive, "script": restored_script, "base backup": restored_base_backup}
    try:
        kind = find_kind(path)
    except OSError as error:
        raise RestoreFailed(f"{path} can't be read: {error.strerror}.") from error
    with restore[kind](path, shop_url, tell) as url:
        yield url


def find_kind(path: Path) -> str:
    """Raises RestoreFailed, and OSError."""
    if path.is_dir():
        return _find_kind_of_folder(path)
    with path.open("rb") as file:
        beginning = file.read(5)
    if beginning == CUSTOM:
        return "archive"
    if tarfile.is_tarfile(path):
        with tarfile.open(path) as tar:
            names = {name.removeprefix("./") for name in _first_names(tar)}
        return "archive" if "toc.dat" in names else "base backup"
    if beginning.startswith(COMPRESSED):
        raise RestoreFailed(f"{path} is compressed: unpack it first, or use pg_dump's custom format.")
    return "script"


def _find_kind_of_folder(path: Path) -> str:
    if (path / "toc.dat").exists():
        return "archive"
    if (path / "PG_VERSION").exists() or any(path.glob("base.tar*")):
        return "base backup"
    raise RestoreFailed(f"{path} is no backup: it has no toc.dat (pg_dump), and no PG_VERSION or base.tar.")


def _first_names(tar: tarfile.TarFile) -> list[str]:
    return [entry.name for entry, _ in zip(tar, range(3), strict=False)]
