"""What the documents name is there: commands, targets, files. Old decisions may name what is gone."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands

from tests.docs.blocks import list_pages

COMMAND = re.compile(r"manage\.py ([a-z_]+)")
TARGET = re.compile(r"(?:`|^ {4}|\$ )make ([a-z-]+)", re.MULTILINE)
FILE = re.compile(r"`((?:[a-z_]+/)+[\w.-]+\.(?:py|md|html|js|json|csv|yaml|conf|toml))`")
IN_THE_READERS_APP = {"shipping/models.py", "shipping/tasks.py"}


@pytest.mark.parametrize("page", list_pages(), ids=lambda page: page.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    makefile = (settings.BASE_DIR / "Makefile").read_text()

    assert {name for name in COMMAND.findall(text) if name not in get_commands()} == set()
    assert {name for name in TARGET.findall(text) if f"\n{name}:" not in makefile} == set()
    files = set(FILE.findall(text)) - IN_THE_READERS_APP
    assert {name for name in files if not (settings.BASE_DIR / name).exists() and not name.startswith("var/")} == set()


def test_every_picture_is_on_a_page() -> None:
    pages = "".join(page.read_text() for page in list_pages())
    pictures = (settings.BASE_DIR / "docs" / "screenshots").glob("*.png")

    assert [picture.name for picture in pictures if f"screenshots/{picture.name}" not in pages] == []
