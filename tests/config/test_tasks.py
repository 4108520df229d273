"""The messages of the tasks are a contract between versions: see "Upgrades" in docs/operating.md."""

import json
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from config.celery import app

# Of each task its queue, and every form of its arguments that may be on its way: first that of this version, then those
# of the versions before it that may run beside it.
CONTRACT: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("tasks.json").read_text())


def read_tasks() -> dict[str, dict[str, Any]]:
    app.loader.import_default_modules()
    return {
        name: {
            "queue": app.amqp.router.route({}, name)["queue"].name,
            "arguments": list(signature(task.run).parameters),
        }
        for name, task in sorted(app.tasks.items())
        if not name.startswith("celery.")
    }


def test_no_task_queue_or_argument_changes_by_the_way() -> None:
    """Who renames or removes one breaks the messages that are on their way, and the workers that are not new yet."""
    contract = {
        name: {"queue": task["queue"], "arguments": task["arguments"][0]} for name, task in sorted(CONTRACT.items())
    }

    assert read_tasks() == contract


@pytest.mark.parametrize(
    ("name", "arguments"),
    [(name, arguments) for name, task in CONTRACT.items() for arguments in task["arguments"]],
    ids=str,
)
def test_messages_of_every_form_are_taken(name: str, arguments: list[str]) -> None:
    app.loader.import_default_modules()

    signature(app.tasks[name].run).bind(*arguments)  # raises TypeError
