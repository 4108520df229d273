"""`make` sets up its virtual environment for any user."""

import os
import subprocess
from pathlib import Path

import pytest
from django.conf import settings

RECORD = '#!/bin/sh\necho "$* ${UV_NO_CACHE:-kept} ${PIP_NO_CACHE_DIR:-kept}"\n'


@pytest.mark.parametrize("has_home", [True, False])
def test_a_user_without_a_home_sets_up_without_caches(tmp_path: Path, has_home: bool) -> None:
    venv, home = tmp_path / "venv", tmp_path / "home"
    python = venv / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(RECORD)
    python.chmod(0o755)
    if has_home:
        home.mkdir()

    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    command = ["make", "--silent", f"VENV={venv}", f"{venv}/ready"]
    done = subprocess.run(
        command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, timeout=60, check=True
    )

    pip, uv = done.stdout.splitlines()
    assert pip.startswith("-m pip install")
    assert uv.startswith("-m uv sync --frozen")
    assert pip.endswith(" kept kept" if has_home else " 1 1")
    assert uv.endswith(" kept kept" if has_home else " 1 1")
