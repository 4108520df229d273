"""A shop in production has no lab: it starts, and answers, with the folder deleted."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from lab.stack.shop import POOLS, WORKERS

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
    "WEBHOOK_NETWORKS": "",
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


def test_a_command_says_in_two_lines_that_its_database_is_away() -> None:
    command = [sys.executable, "manage.py", "revoke_token", "Till", "--skip-checks"]
    environment = PRODUCTION | {"DATABASE_URL": "postgres://orderly:secret@127.0.0.1:1/orderly"}
    done = subprocess.run(command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr.startswith("The database of DATABASE_URL can't be reached: ")
    assert "Traceback" not in done.stderr


def read_units() -> dict[str, str]:
    """The lines of the Procfile, by the name of the process."""
    lines = (settings.BASE_DIR / "Procfile").read_text().splitlines()
    return dict(line.split(": ", maxsplit=1) for line in lines)


def read_words(path: Path) -> str:
    """A file's words with one space between them, without what YAML and JSON write around a list's words."""
    return " ".join(re.sub(r"(?<!\w),|, |[\[\]\"\\]", " ", path.read_text()).replace("%%h", "%h").split())


def test_the_procfile_starts_what_the_local_shop_starts() -> None:
    units = read_units()
    assert set(units) == {"web", "beat", *WORKERS}
    for name, options in WORKERS.items():
        assert units[name].endswith(f" {options} -n {name}@%h")
    assert all(f"DATABASE_POOL={pool} " in units[name] for name, pool in POOLS.items())


@pytest.mark.parametrize("name", WORKERS)
def test_every_way_to_deploy_starts_the_workers_alike(name: str) -> None:
    command = re.sub(r"^DATABASE_POOL=\d ", "", read_units()[name])
    deploy = settings.BASE_DIR / "deploy"

    assert command in read_words(deploy / "systemd" / f"orderly-{name}.service")
    assert command in read_words(settings.BASE_DIR / "compose.yaml")
    assert command in read_words(deploy / "kubernetes" / "workers.yaml").replace(" args: ", " ")


def test_every_way_to_deploy_starts_the_web_alike() -> None:
    options = read_units()["web"].partition("--worker-class")[2]
    for page in ("Dockerfile", "deploy/systemd/orderly-web.service"):
        assert options in read_words(settings.BASE_DIR / page)


def test_those_who_wait_have_the_same_web_server_at_another_address() -> None:
    folder = settings.BASE_DIR / "deploy"
    web, waiting = ((folder / "systemd" / f"orderly-{name}.service").read_text() for name in ("web", "waiting"))
    proxy = (folder / "nginx.conf").read_text()

    assert web.partition("--worker-class")[2].split()[0] == waiting.partition("--worker-class")[2].split()[0]
    for unit, address in ((web, "127.0.0.1:8000"), (waiting, "127.0.0.1:8001")):
        assert f"--bind {address} " in unit
        assert f"proxy_pass http://{address};" in proxy
    assert "CPUWeight=" in waiting


def test_every_way_to_deploy_gives_the_processes_their_connections() -> None:
    deploy = settings.BASE_DIR / "deploy"
    for name, pool in POOLS.items():
        assert f"DATABASE_POOL={pool}\n" in (deploy / "systemd" / f"orderly-{name}.service").read_text()
        assert f'DATABASE_POOL: "{pool}"' in (settings.BASE_DIR / "compose.yaml").read_text()
        page = deploy / "kubernetes" / ("web.yaml" if name == "web" else "workers.yaml")
        assert f'{{name: DATABASE_POOL, value: "{pool}"}}' in page.read_text()


WRITES = {"web": "/srv/orderly/media", "mails": "/srv/orderly/archive"}


@pytest.mark.parametrize(("process", "folder"), WRITES.items())
def test_every_way_to_deploy_lets_a_process_write_its_folder_and_keeps_it(process: str, folder: str) -> None:
    deploy, name = settings.BASE_DIR / "deploy", folder.rpartition("/")[2]
    unit = (deploy / "systemd" / f"orderly-{process}.service").read_text()
    pods = (deploy / "kubernetes" / ("web.yaml" if process == "web" else "workers.yaml")).read_text()
    [pod] = [part for part in pods.split("\n---\n") if f"name: orderly-{process}, labels" in part]
    [service] = re.findall(
        rf"^  {process}:\n(?:    .*\n)+", (settings.BASE_DIR / "compose.yaml").read_text(), re.MULTILINE
    )

    assert f"ReadWritePaths=/srv/orderly/app/var -{folder}\n" in unit
    assert f"volumes: [{name}:{folder}]" in service
    assert f"mountPath: {folder}}}" in pod
    assert f"claimName: orderly-{name}}}" in pod
    assert "fsGroup: 10001" in pod
    assert f"{{name: orderly-{name}}}" in (deploy / "kubernetes" / "volumes.yaml").read_text()
    assert re.search(rf"install --directory --owner 10001 .*{folder}", (settings.BASE_DIR / "Dockerfile").read_text())
    assert re.search(rf"install -d -o orderly .* {folder}\n", (settings.BASE_DIR / "docs" / "deploy.md").read_text())


def test_the_deployment_page_names_settings_that_there_are() -> None:
    page = (settings.BASE_DIR / "docs" / "deploy.md").read_text()
    example = (settings.BASE_DIR / ".env.example").read_text()
    named = re.findall(r"`([A-Z][A-Z_]+)`", page)
    assert named
    assert [name for name in named if name not in example] == []
