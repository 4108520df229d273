"""Says what is wrong with a running deployment. Exits 1 at an error, and 2 if something could not be examined."""

import json
import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from django.core.management.base import BaseCommand
from django.core.management.color import Style

from audit.doctor.examination import EXAMINATIONS, examine_deployment
from audit.doctor.findings import Finding, Verdict

WIDTH = max(len(examination.id) for examination in EXAMINATIONS)

TOTALS = {
    Verdict.OK: "Sound",
    Verdict.WARNING: "warnings",
    Verdict.ERROR: "errors",
    Verdict.UNKNOWN: "could not be examined",
}


class Command(BaseCommand):
    help = "Examine the servers, the processes and the orders of this deployment, and say what to mend."
    requires_system_checks = []  # a shop that is set up wrongly is whom it is for

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, **options: Any) -> None:
        findings = list(examine_deployment())
        counts = count_verdicts(findings)
        if options["json"]:
            self.stdout.write(write_json(findings, is_ok=not counts[Verdict.ERROR]))
        else:
            self.stdout.write(write_text(findings, self.style))
        if counts[Verdict.ERROR] or counts[Verdict.UNKNOWN]:
            sys.exit(1 if counts[Verdict.ERROR] else 2)


def count_verdicts(findings: Iterable[Finding]) -> Counter[Verdict]:
    return Counter(finding.verdict for finding in findings)


def write_json(findings: Sequence[Finding], *, is_ok: bool) -> str:
    return json.dumps({"ok": is_ok, "findings": [asdict(finding) for finding in findings]})


def write_text(findings: Sequence[Finding], style: Style) -> str:
    lines, counts = [], count_verdicts(findings)
    for subject, of_subject in groupby(findings, key=lambda finding: finding.id.partition(".")[0]):
        lines += [
            style.MIGRATE_HEADING(subject.capitalize()),
            *(describe(finding, style) for finding in of_subject),
            "",
        ]
    return "\n".join([*lines, ", ".join(f"{words}: {counts[verdict]}" for verdict, words in TOTALS.items())])


def describe(finding: Finding, style: Style) -> str:
    paint = {
        Verdict.OK: style.SUCCESS,
        Verdict.WARNING: style.WARNING,
        Verdict.ERROR: style.ERROR,
        Verdict.UNKNOWN: style.NOTICE,
    }[finding.verdict]
    line = f"  {paint(f'{finding.verdict:<7}')}  {finding.id:<{WIDTH}}  {finding.seen}"
    if finding.verdict is Verdict.OK:
        return line
    indent = " " * 11
    return f"{line}\n{indent}{finding.reason}\n{indent}To mend it: {finding.remedy.replace('`', '')}."
