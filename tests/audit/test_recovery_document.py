"""docs/recovery.md, command by command: a shop with a hole goes back to its dump as the page says."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from psycopg import sql

from accounts.models import User
from tests.audit.hole import begin_day, dig_hole
from tests.config.test_production import read_units
from tests.provider import Provider

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("gateway", "empty_ledger", "shop")]
PAGE = settings.BASE_DIR / "docs" / "recovery.md"
COMMAND = re.compile(r"^ +((?:pg_|createdb|systemctl|\.venv/bin/python).+)$", re.MULTILINE)
OUTPUT = re.compile(r"<!-- output: (\w+) -->\n(.+?)<!-- end -->", re.DOTALL)
# What differs from day to day.
CODE, PROVIDER_ID, TIME = r"\d{6}-\w{5}-\w{5}", r"pi_\w+", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
# What staff do in the admin, and then the workers, as one script in the restored shop.
PUT_RIGHT = """
from accounts.models import User
from audit.models import Difference
from audit.remedies import adopt_difference, propose_remedy, refund_difference
from audit.surplus import refund_all_surplus
from orders.models import Order
from orders.services import finalize_order
from payments.services import charge_payment
remedies = {"adopt": adopt_difference, "refund": refund_difference}
for difference in Difference.objects.unresolved():
    remedies[propose_remedy(difference)](pk=difference.pk, actor=User.objects.get(), note="Restored.")
refund_all_surplus()
for order in Order.objects.filter(status="PENDING"):
    charge_payment(reference=order.code)
    finalize_order(code=order.code)
"""


class Shell:
    """Runs the page's commands with what they name moved to where the tests may write."""

    def __init__(self, folder: Path) -> None:
        self.url = urlsplit(os.environ["DATABASE_URL"])
        self.restored = f"restored_{uuid4().hex}"
        self.units = folder / "units"
        systemctl = folder / "bin" / "systemctl"
        systemctl.parent.mkdir()
        systemctl.write_text(f'#!/bin/sh\necho "$@" >> {self.units}\n')
        systemctl.chmod(0o755)
        self.moved = {
            "/backups": str(folder),
            "orderly_restored": self.restored,
            " orderly": f" {connection.settings_dict['NAME']}",
            ".venv/bin/python": sys.executable,
        }
        self.environment = {
            **os.environ,
            "PATH": f"{systemctl.parent}:{os.environ['PATH']}",
            "PGHOST": str(self.url.hostname),
            "PGPORT": str(self.url.port),
            "PGUSER": str(self.url.username),
            "PGPASSWORD": str(self.url.password),
        }

    def run(self, command: str) -> tuple[int, str]:
        """The exit code, and what was printed."""
        if not command.startswith("systemctl"):
            for name, ours in self.moved.items():
                command = command.replace(name, ours)
        return self.execute(["sh", "-c", command])

    def execute(self, command: list[str]) -> tuple[int, str]:
        done = subprocess.run(
            command, cwd=settings.BASE_DIR, env=self.environment, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout or done.stderr

    def change_database(self) -> None:
        """Set DATABASE_URL to the restored one."""
        self.environment["DATABASE_URL"] = self.url._replace(path=f"/{self.restored}").geturl()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    running = Shell(tmp_path)
    yield running
    with psycopg.connect(running.url.geturl(), autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(running.restored)))


def strip_day(text: str) -> list[str]:
    """The lines without what differs from day to day, in any order: differences are found in none."""
    for pattern, name in ((CODE, "CODE"), (PROVIDER_ID, "ID"), (TIME, "TIME")):
        text = re.sub(pattern, name, text)
    return sorted(line.strip() for line in text.strip().splitlines())


def read_event_ids(url: str) -> set[int]:
    with psycopg.connect(url) as session:
        return {pk for (pk,) in session.execute("SELECT id FROM orders_orderevent")}


def test_the_page_leads_a_shop_back_to_its_dump(shell: Shell, provider: Provider, admin_user: User) -> None:
    page = PAGE.read_text()
    commands, outputs = COMMAND.findall(page), dict(OUTPUT.findall(page))
    day = begin_day()
    for command in commands:
        code, printed = shell.run(command)
        name = command.rpartition("manage.py ")[2].split()[0]
        if name in outputs:
            assert strip_day(printed) == strip_day(outputs[name]), printed
        assert code == (name in outputs), f"{command}: {printed}"
        if command.startswith("pg_dump"):
            kept = read_event_ids(shell.url.geturl())
            dig_hole(day)
        elif command.startswith("pg_restore"):
            shell.change_database()
        elif command == "systemctl start orderly-web":
            code, printed = shell.execute([sys.executable, "manage.py", "shell", "-c", PUT_RIGHT])
            assert code == 0, printed
    assert commands[-1].endswith("manage.py audit")

    lost = read_event_ids(shell.url.geturl()) - kept
    new = read_event_ids(shell.environment["DATABASE_URL"]) - kept
    assert lost
    assert min(new) > max(lost)

    started = {unit for line in shell.units.read_text().splitlines() for unit in line.split()[1:]}
    assert started - {"orderly-*"} == {f"orderly-{unit}" for unit in read_units()}
