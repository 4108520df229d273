"""The archive's files: JSON Lines, each with its SHA-256 in a file beside it, as sha256sum writes it."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder


class ArchiveDamaged(Exception):
    """A file of the archive is not as it was written, or lacks what it has to have."""


def write_archive(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Write the records, one a line, and the checksum. On return both are on the disk, under their own names.

    A file of that name is replaced in one step. Raises OSError.
    """
    content = b"".join(encode(record) for record in records)
    _write(_name_checksum(path), _sum(path.name, content))
    _write(path, content)
    _sync_folder(path.parent)


def read_archive(path: Path) -> list[dict[str, Any]]:
    """All records of a file, if its checksum is right. Raises ArchiveDamaged or OSError."""
    content = path.read_bytes()
    if _name_checksum(path).read_bytes() != _sum(path.name, content):
        raise ArchiveDamaged(f"{path} is not as it was written: its checksum differs.")
    return [json.loads(line) for line in content.splitlines()]


def encode(record: dict[str, Any]) -> bytes:
    return json.dumps(record, cls=DjangoJSONEncoder, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _name_checksum(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _sum(name: str, content: bytes) -> bytes:
    return f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _sync_folder(folder: Path) -> None:
    """A rename is on the disk when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
