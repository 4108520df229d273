"""Writes the tables of the reference pages: python -m lab.stack exec -- python -m tests.docs.document"""

import re
from argparse import Action
from collections.abc import Callable, Iterator
from pathlib import Path

import django
from django.apps import apps
from django.core.management import get_commands, load_command_class
from django.core.management.base import DjangoHelpFormatter

from lab.stack.var import BASE_DIR
from tests.crash.document import TABLE, write_table
from tests.docs.settings_table import list_internal, list_settings
from tests.docs.states import LEADS_TO

DOCS = BASE_DIR / "docs"
TARGET = re.compile(r"((?:^# .+\n)+)^([a-z-]+):", re.MULTILINE)
DJANGOS = ("django.", "ninja")


def list_commands() -> Iterator[list[str]]:
    """Each command of our own apps, by its help."""
    for name, app in sorted(get_commands().items()):
        if not str(app).startswith(DJANGOS):
            command = load_command_class(str(app), name)
            actions = command.create_parser("manage.py", name)._actions
            usage = " ".join([name, *(write_argument(action) for action in actions if is_ours(action))])
            yield [f"`manage.py {usage}`", f"{command.help.rstrip('.')}."]


def is_ours(action: Action) -> bool:
    return not (set(action.option_strings) & DjangoHelpFormatter.show_last or "--help" in action.option_strings)


def write_argument(action: Action) -> str:
    """As it stands on a command line: in brackets, if it may be left out."""
    value = str(action.metavar or action.dest.upper())
    if action.nargs == "*":
        return f"[{value} ...]"
    words = " ".join([*action.option_strings[:1], *([] if action.nargs == 0 else [value])])
    return words if action.required else f"[{words}]"


def list_targets() -> Iterator[list[str]]:
    """Each target of the Makefile, by the comment above it."""
    for comment, name in TARGET.findall((BASE_DIR / "Makefile").read_text()):
        yield [f"`make {name}`", " ".join(line.removeprefix("# ") for line in comment.splitlines())]


def list_states(label: str) -> Iterator[list[str]]:
    """Each status of the model, in its own order. One of which tests/docs/states.py says nothing is an error."""
    for value, title in apps.get_model(label).Status.choices:
        yield [f"`{value}`", str(title), *LEADS_TO[label][value]]


def list_decisions() -> Iterator[list[str]]:
    for path in sorted((DOCS / "adr").glob("0*.md")):
        yield [path.name[:4], f"[{path.read_text().partition(chr(10))[0].removeprefix('# ')}]({path.name})"]


def write_states(label: str) -> Callable[[], str]:
    return lambda: write_table(["status", "", "what it says", "what follows"], list_states(label))


TABLES: dict[str, Callable[[], str]] = {
    "settings": lambda: write_table(["setting", "what it takes", "default", ""], list_settings()),
    "internal": lambda: write_table(["setting", "what it takes", ""], list_internal()),
    "commands": lambda: write_table(["command", "what it does"], list_commands()),
    "targets": lambda: write_table(["target", "what it does"], list_targets()),
    "decisions": lambda: write_table(["", "decision"], list_decisions()),
    "order": write_states("orders.Order"),
    "payment": write_states("payments.Payment"),
    "refund": write_states("payments.Refund"),
    "dispute": write_states("payments.Dispute"),
}
PAGES = [DOCS / name for name in ("settings.md", "commands.md", "states.md", "adr/index.md")]


def render(page: Path) -> str:
    """The page with its tables as the code has them; the prose around them stays."""
    return TABLE.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], page.read_text())


if __name__ == "__main__":
    django.setup()
    for written in PAGES:
        written.write_text(render(written))
