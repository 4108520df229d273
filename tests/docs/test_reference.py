"""The reference pages have what the code has: settings, commands, targets, states, figures, decisions."""

import re
import tomllib
from pathlib import Path

import pytest
from django.conf import LazySettings, settings
from django.test import Client

from audit.models import AuditRun
from tests.docs.document import DOCS, PAGES, render
from tests.docs.settings_table import INTERNAL, find_calls, read_example

HELP = re.compile(r"^# HELP (orderly_\w+) (.+)$", re.MULTILINE)
ROW = re.compile(r"^\| `orderly_.+$", re.MULTILINE)
IMAGE = re.compile(r"\borderly(?:-sandbox)?:(\d[\w.]+)")
NAVIGATION = re.compile(r'"([\w/-]+\.md)"')


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_of_a_page_are_those_of_the_code(page: Path) -> None:
    assert render(page) == page.read_text(), "run: python -m lab.stack exec -- python -m tests.docs.document"


def test_every_setting_that_is_read_is_told_of() -> None:
    assert set(find_calls()) - set(read_example()) == set(INTERNAL)


@pytest.mark.django_db
def test_the_page_of_metrics_names_every_figure_in_its_words(client: Client, settings: LazySettings) -> None:
    settings.WAITING_ROOM = "checkout"
    AuditRun.objects.create(ok=True, report={})
    figures = sorted(HELP.findall(client.get("/metrics").text))

    assert ROW.findall((DOCS / "metrics.md").read_text()) == [f"| `{name}` | {words} |" for name, words in figures]


def test_every_page_stands_in_the_navigation() -> None:
    navigation = set(NAVIGATION.findall((settings.BASE_DIR / "zensical.toml").read_text()))
    pages = {str(page.relative_to(DOCS)) for page in DOCS.glob("*.md")}

    assert pages <= navigation
    assert all((DOCS / page).exists() for page in navigation)


def test_every_test_that_proves_a_guarantee_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", (DOCS / "guarantees.md").read_text()))
    written = "".join(path.read_text() for path in (settings.BASE_DIR / "tests").rglob("test_*.py"))

    assert named
    assert {name for name in named if f"def {name}(" not in written} == set()


def test_one_version_is_told_everywhere() -> None:
    root = settings.BASE_DIR
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    files = [root / "compose.yaml", DOCS / "deploy.md", *(root / "deploy" / "kubernetes").glob("*.yaml")]
    images = [IMAGE.findall(path.read_text()) for path in files]

    assert {found for names in images for found in names} == {version}
    assert re.search(
        rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)$", (root / "CHANGELOG.md").read_text(), re.MULTILINE
    )
