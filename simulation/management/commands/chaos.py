"""Let people buy while every process of a stack is killed and frozen; exit 1 if anything is off."""

import json
import random
import shutil
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from simulation.chaos import run_chaos


class Command(BaseCommand):
    help = "Place orders while the processes are killed and frozen. On a stack that is thrown away: make chaos."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("stack_file", type=Path, help="The stack.json that names the processes.")
        parser.add_argument("--orders", type=int, default=2000, help="To be placed. Default: %(default)s.")
        parser.add_argument("--seconds", type=float, default=220, help="Of strikes. Default: %(default)s.")
        parser.add_argument("--seed", type=int, help="The same seed, the same schedule. Default: a random one.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(
        self, *, stack_file: Path, orders: int, seconds: float, seed: int | None, json: bool, **_: object
    ) -> None:
        if orders < 1 or seconds < 1:
            raise CommandError("--orders and --seconds: at least 1.")
        seed = random.randrange(10**6) if seed is None else seed  # noqa: S311
        self.stderr.write(f"Seed {seed}: {orders} orders in {seconds:g} s of kills ...")
        try:
            stack = read_stack(stack_file)
        except (OSError, ValueError) as error:
            raise CommandError(f"{stack_file}: {error}") from error
        try:
            report = run_chaos(
                stack_file=stack_file, shop_url=stack["urls"]["web"], orders=orders, seconds=seconds, seed=seed
            )
        except KeyboardInterrupt:
            sys.exit(130)
        self.stdout.write(to_json(report) if json else to_text(report))
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


def to_json(report: dict[str, Any]) -> str:
    return json.dumps(report)


def to_text(report: dict[str, Any]) -> str:
    strikes = [
        f"{process}: {', '.join(f'{number} {action}' for action, number in actions.items())}"
        for process, actions in report["schedule"].items()
    ]
    rows = {
        "Seed": report["seed"],
        "Kills": f"{report['kills']}; {report['missed_strikes']} strikes had no process to hit",
        "Strikes": "; ".join(strikes),
        "Orders": ", ".join(f"{number} {end}" for end, number in report["orders"].items()),
        "Refused": ", ".join(f"{number} {code}" for code, number in report["refused"].items()) or "none",
        "Requests": f"{report['requests']:,} answered, {report['unanswered']:,} not, {report['abandoned']:,} abandoned;"
        f" {report['replayed']:,} answered again, {report['mismatched_replays']} of them otherwise",
        "Changes": f"{report['cancels']} cancels, {report['cancels_too_late']} too late;"
        f" {report['adjustments']} adjustments of stock",
        "Repairs": f"{report['repairs']} orders swept; {report['needs_review']} need review",
        "Waits": f"{report['p50_seconds']} s p50, {report['p95_seconds']} s p95,"
        f" {report['longest_wait_seconds']} s longest, from POST to final",
        "Audits": f"{report['audits_meanwhile']} meanwhile, and one at the end;"
        f" {len(report['audit']['violations'])} violations",
        "Verdict": "nothing was lost" if report["ok"] else "SOMETHING IS OFF",
    }
    return "\n".join([*(f"{name:8} {value}" for name, value in rows.items()), *report["off"]])
