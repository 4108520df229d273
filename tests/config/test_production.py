"""A shop in production has no lab: it starts, and answers, with the folder deleted."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

PRODUCTION = {
    **os.environ,
    "ALLOWED_HOSTS": "shop.example.com",
    "EMAIL_URL": "smtp+tls://mail.example.com",
    "EXTRA_APPS": "",
    "ORDERLY_LOCAL": "0",
    "SHOP_PAYMENT_METHODS": "",
    "SECRET_KEY": "a secret that is kept for the test of production only, and long enough",
    "STRIPE_API_BASE": "",
    "STRIPE_JS_URL": "",
}
# Imports what each process does, and asks for a page.
START = """
import django, config.wsgi
from config.celery import app
from django.test import Client
app.loader.import_default_modules()
page = Client().get("/account/log-in/", headers={"Host": "shop.example.com"}, secure=True)
print(page.status_code, len([name for name in app.tasks if not name.startswith("celery.")]))
"""


@pytest.fixture
def deployed(tmp_path: Path) -> Path:
    without = shutil.ignore_patterns(".*", "var", "lab", "tests", "__pycache__")
    return Path(shutil.copytree(settings.BASE_DIR, tmp_path / "deployed", ignore=without))


def run(folder: Path, *arguments: str) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=PRODUCTION, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.django_db
def test_the_shop_starts_with_the_lab_deleted(deployed: Path) -> None:
    assert not (deployed / "lab").exists()

    assert "no issues" in run(deployed, "manage.py", "check", "--deploy", "--fail-level", "WARNING")
    status, tasks = run(deployed, "-c", START).split()
    assert status == "200"
    assert int(tasks) > 5


def test_nothing_of_the_lab_is_installed_unless_the_stack_says_so(deployed: Path) -> None:
    assert "chaos" not in run(deployed, "manage.py", "help", "--commands")
