"""Every package at the top has its place in the import contracts."""

import tomllib
from pathlib import Path

from django.conf import settings


def test_every_package_is_in_the_contracts() -> None:
    root = Path(settings.BASE_DIR)
    packages = {path.parent.name for path in root.glob("*/__init__.py")} - {"tests"}
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if "containers" not in contract)

    assert packages == {name for layer in layers for name in layer.split(" | ")}
    assert [path.name for path in root.glob("*.py")] == ["manage.py"], "a module has no place at the top"
