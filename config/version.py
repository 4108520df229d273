"""Which code a process runs: it reads its own when it starts, so one that was not started again tells of the old."""

from hashlib import sha256
from pathlib import Path

NO_PART = {"lab", "tests"}  # of a shop in production
KINDS = {".py", ".html"}
LENGTH = 12  # hexadecimal digits


def read_version(base: Path) -> str:
    """A digest of the shop's code and of the versions of its packages: the same on all machines that have the same."""
    packages = {path.parent for path in base.glob("*/__init__.py")} - {base / name for name in NO_PART}
    folders = [*packages, base / "templates"]
    digest = sha256((base / "uv.lock").read_bytes())
    for path in sorted(path for folder in folders for path in folder.rglob("*") if path.suffix in KINDS):
        digest.update(f"\0{path.relative_to(base)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:LENGTH]
