"""Replays invoices against the running shop: manage.py replay FILE"""

import json
import os
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand, CommandError, CommandParser

from command_line import end_at_passing_errors
from lab.simulation.invoice_file import InvoicesUnreadable
from lab.simulation.refunding import refund_returns, wait_until_recorded
from lab.simulation.replay import Report, Shop, place_invoices, wait_until_final


def positive(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ArgumentTypeError(f"{text!r} is not a URL such as http://127.0.0.1:8000")
    return text


class Command(BaseCommand):
    help = (
        "Place each sale of a file of invoices (JSON Lines, plain or .xz) over HTTP, wait until its orders are final, "
        "refund what its cancellations bring back, and say what became of all. Replaying a file twice places nothing "
        "twice, and refunds nothing twice."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--url",
            type=http_url,
            default=os.environ.get("SHOP_URL"),
            help="the shop, which is sent the first of API_TOKENS, and of API_REFUND_TOKENS; default: SHOP_URL",
        )
        parser.add_argument("--limit", type=positive, metavar="N", help="the first N invoices only")
        parser.add_argument("--concurrency", type=positive, default=8, metavar="N", help="orders placed at once")
        parser.add_argument(
            "--faulty-every",
            type=positive,
            metavar="N",
            help="give every N-th sale, in turn, a card that declines, is slow, or loses the answer",
        )
        parser.add_argument(
            "--timeout", type=float, default=600, metavar="SECONDS", help="wait so long for the orders to be final"
        )
        parser.add_argument("--json", action="store_true", dest="as_json", help="report in JSON")

    def handle(
        self, *, file: Path, url: str | None, timeout: float, as_json: bool, concurrency: int, **options: Any
    ) -> None:
        if not url:
            raise CommandError(
                "Where is the shop? `make run` starts one and prints its URL: give it as --url or SHOP_URL."
            )
        report = Report()
        try:
            # Before anything is placed, the catalogue is read.
            with end_at_passing_errors("The database can't be asked now"), Shop(url, connections=concurrency) as shop:
                codes, returns = place_invoices(
                    file,
                    shop=shop,
                    report=report,
                    concurrency=concurrency,
                    limit=options["limit"],
                    faulty_every=options["faulty_every"],
                )
                waiting = wait_until_final(codes, report=report, timeout=timeout)
                refunded = refund_returns(returns, codes=codes, shop=shop, report=report, concurrency=concurrency)
                owed = wait_until_recorded(refunded, report=report, timeout=timeout)
        except InvoicesUnreadable as error:
            raise CommandError(f"{error} ({report.placed} orders placed before)") from error
        self.stdout.write(json.dumps(vars(report)) if as_json else format_lines(report))
        if report.invoices == report.skipped["malformed"]:
            raise CommandError(f"{file}: no line of it is an invoice.")
        if waiting:
            raise CommandError(f"{waiting} orders are not final after {timeout:g} seconds.")
        if owed:
            raise CommandError(f"{owed} refunds are not over after {timeout:g} seconds.")
        if missed := report.refused["unreachable"]:
            raise CommandError(f"{missed} sales were not placed: no answer from {url}. Replay the file again.")
        if not codes:
            raise CommandError("Nothing was placed.")


def format_lines(report: Report) -> str:
    lines = []
    for name, value in vars(report).items():
        if isinstance(value, dict):
            lines += [f"{name + ' ' + reason:<32}{count:>14,}" for reason, count in sorted(value.items())]
        else:
            lines.append(f"{name:<32}{value:>14,}")
    return "\n".join(lines)
