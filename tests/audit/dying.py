"""python -m tests.audit.dying MOMENT TARGET CALL ARGUMENTS calls a function, and dies before or after another one."""

import json
import os
import signal
import sys
from typing import Any

import django
from django.conf import settings
from django.db import connection
from django.utils.module_loading import import_string

from lab.stack.forks import run_fork


def die_at(moment: str, target: str, call: str, **arguments: Any) -> None:
    """Run the call in a process of its own, on this test's database and provider, and see it killed."""
    url = os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{connection.settings_dict['NAME']}"
    environment = os.environ | {"DATABASE_URL": url, "STRIPE_API_BASE": settings.STRIPE_API_BASE}
    command = ["-m", "tests.audit.dying", moment, target, call, json.dumps(arguments)]
    ended = run_fork(command, env=environment, timeout=60)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def main() -> None:
    moment, target, call, given = sys.argv[1:]
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()
    arguments = json.loads(given)
    if "actor" in arguments:
        arguments["actor"] = import_string("accounts.models.User").objects.get(pk=arguments["actor"])
    called = import_string(call)
    owner, _, name = target.rpartition(".")
    arm(sys.modules.get(owner) or import_string(owner), name, moment)
    called(**arguments)


def arm(owner: Any, name: str, moment: str) -> None:
    function = getattr(owner, name)

    def run(*args: Any, **kwargs: Any) -> None:
        if moment == "after":
            function(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, run)


if __name__ == "__main__":
    main()
