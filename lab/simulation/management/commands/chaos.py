"""Let people buy while a stack is struck in every way; exit 1 if anything is wrong."""

import json
import random
import shutil
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from lab.simulation.chaos.options import add_chaos_options, choose_kinds
from lab.simulation.chaos.report import to_text
from lab.simulation.chaos.run import run_chaos


class Command(BaseCommand):
    help = "Place orders while processes die and neighbours are sick. On a stack that is thrown away: make chaos."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("stack_file", type=Path, help="the stack.json that names the processes")
        add_chaos_options(parser)

    def handle(
        self,
        *,
        stack_file: Path,
        orders: int,
        seconds: float,
        seed: int | None,
        only: set[str] | None,
        without: set[str] | None,
        as_json: bool,
        **_: object,
    ) -> None:
        if orders < 1 or seconds < 1:
            raise CommandError("--orders and --seconds: at least 1.")
        seed = random.randrange(10**6) if seed is None else seed  # noqa: S311
        self.stderr.write(f"Seed {seed}: {orders} orders in {seconds:g} s of strikes ...")
        try:
            stack = read_stack(stack_file)
        except (OSError, ValueError) as error:
            raise CommandError(f"{stack_file}: {error}") from error
        try:
            report = run_chaos(
                stack_file=stack_file,
                shop_url=stack["urls"]["web"],
                orders=orders,
                seconds=seconds,
                seed=seed,
                kinds=choose_kinds(only, without),
            )
        except KeyboardInterrupt:
            sys.exit(130)
        self.stdout.write(json.dumps(report) if as_json else to_text(report))
        if not report["ok"]:
            kept = keep_logs(Path(stack["folder"]), report)
            self.stderr.write(f"The logs and the report are in {kept}")
            sys.exit(1)


def read_stack(path: Path) -> dict[str, Any]:
    stack: dict[str, Any] = json.loads(path.read_text())
    return stack


def keep_logs(folder: Path, report: dict[str, Any]) -> Path:
    kept = settings.BASE_DIR / "var" / f"chaos-{report['seed']}"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(folder / "log", kept)
    (kept / "report.json").write_text(json.dumps(report, indent=2))
    return Path(kept)
