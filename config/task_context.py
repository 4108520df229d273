"""What the lines of a task say of it: its name, its order, and the request that it follows.

The request's id travels in a header of the message (`__django_structlog__`). A worker of another version reads past it,
and a task without it has no request: messages themselves stay as they are, see docs/adr/0031.
"""

from functools import lru_cache
from inspect import signature
from typing import Any

from celery import Task, current_app
from celery.signals import before_task_publish, task_postrun, task_prerun
from django_structlog.celery import signals
from django_structlog.celery.receivers import CeleryReceiver
from structlog.contextvars import bind_contextvars, clear_contextvars

PASSED_ON = ("request_id",)
SUBJECTS = {"code": "order", "reference": "order", "key": "refund"}  # by the name of a task's first argument

receiver = CeleryReceiver()
before_task_publish.connect(receiver.receiver_before_task_publish)
task_prerun.connect(receiver.receiver_task_prerun)


@signals.modify_context_before_task_publish.connect
def pass_on(context: dict[str, Any], **_: Any) -> None:
    for name in context.keys() - PASSED_ON:
        del context[name]


@signals.bind_extra_task_metadata.connect
def name_task(task: "Task[..., Any]", **_: Any) -> None:
    bind_contextvars(task=task.name)
    subject = find_subject(task.name)
    if subject and task.request.args:
        bind_contextvars(**{subject: task.request.args[0]})


@task_postrun.connect
def forget_task(**_: Any) -> None:
    clear_contextvars()


@lru_cache(maxsize=None)
def find_subject(name: str) -> str:
    """What the task's first argument is: an order, a refund, or none of these."""
    first = next(iter(signature(current_app.tasks[name].run).parameters), "")
    return SUBJECTS.get(first, "")
