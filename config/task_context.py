"""What the lines of a task say of it: its name, its order, and the request that it follows."""

from functools import cache
from inspect import signature
from typing import Any

from celery import Task, current_app
from celery.signals import before_task_publish, task_postrun, task_prerun
from django.dispatch import receiver
from django_structlog.celery import signals
from django_structlog.celery.receivers import CeleryReceiver
from structlog.contextvars import bind_contextvars, clear_contextvars

# In a header of the message, `__django_structlog__`. The message itself stays as it is (docs/adr/0031): a worker of
# another version reads past the header, and a task without it has no request.
PASSED_ON = ("request_id",)
SUBJECTS = {"code": "order", "reference": "order", "key": "key"}  # by the name of a task's first argument

carrier = CeleryReceiver()
before_task_publish.connect(carrier.receiver_before_task_publish)
task_prerun.connect(carrier.receiver_task_prerun)


@receiver(signals.modify_context_before_task_publish)
def pass_on(context: dict[str, Any], **_: Any) -> None:
    for name in context.keys() - PASSED_ON:
        del context[name]


@receiver(signals.bind_extra_task_metadata)
def name_task(task: "Task[..., Any]", **_: Any) -> None:
    bind_contextvars(task=task.name)
    subject = find_subject(task.name)
    if subject and task.request.args:
        bind_contextvars(**{subject: task.request.args[0]})


@task_postrun.connect
def forget_task(**_: Any) -> None:
    clear_contextvars()


@cache
def find_subject(name: str) -> str:
    """What the task's first argument is: an order, a key at the provider, or none of these."""
    first = next(iter(signature(current_app.tasks[name].run).parameters), "")
    return SUBJECTS.get(first, "")
