"""This checkout against another one, in turn: what an order costs in each, in the same weather."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from lab.bench.figures import Figures
from lab.bench.options import Options
from lab.bench.rounds import make_checkouts, name_many, run_round
from lab.bench.shops import Shop, open_orderly
from lab.bench.stocking import PLENTY, write_catalog
from lab.bench.throughput import MANY, add_round, in_turn
from lab.bench.workbench import SETTINGS, NotClean
from lab.stack.processes import ProcessFailed, child_command
from lab.stack.var import BASE_DIR

LEAST_ROUNDS = 7
# Run by the other checkout's own code: a stack that lasts until its standard input is closed.
HOLD = """
import os, sys
from pathlib import Path
from lab.stack.shop import run_stack
with run_stack() as stack:
    loaded = stack.manage("load_catalog", sys.argv[1], "--stock", sys.argv[2])
    print(loaded.stderr if loaded.returncode else stack.folder / "stack.json", flush=True)
    sys.stdin.read()
    audit = stack.manage("audit")
    print(audit.stdout + audit.stderr, flush=True)
    sys.exit(audit.returncode)
"""


def run_against(checkout: Path, options: Options) -> Figures:
    """Rounds of many products on both, at least seven, first the one and then the other first. Raises NotClean."""
    figures, rounds = Figures(), max(options.rounds, LEAST_ROUNDS if not options.smoke else 1)
    with ExitStack() as exits:
        shops = {
            name: exits.enter_context(hold_stack(name, folder))
            for name, folder in (("this", BASE_DIR), ("other", checkout.resolve()))
        }
        bar = exits.enter_context(tqdm(total=2 * rounds, desc="Bench", unit=" rounds", file=sys.stderr, disable=None))
        for number in range(rounds):
            for name in in_turn(("this", "other"), number):
                requests = make_checkouts(shops[name], MANY.pick, options.orders)
                done = run_round(shops[name], requests, seconds=options.seconds)
                add_round(figures, MANY.name, done, shop=name)
                bar.update()
    return figures


@contextmanager
def hold_stack(name: str, checkout: Path) -> Iterator[Shop]:
    """The shop of a checkout, run by its own code and Python, and audited at the end. Raises NotClean."""
    python = checkout / ".venv" / "bin" / "python"
    command = [str(python) if python.exists() else sys.executable, "-c", HOLD]
    with TemporaryDirectory() as folder:
        catalog = write_catalog(Path(folder) / "bench.csv", name_many())
        process = subprocess.Popen(
            child_command([*command, str(catalog), str(PLENTY)], death_signal=signal.SIGTERM),
            cwd=checkout,
            env={**os.environ, **SETTINGS},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout  # noqa: S101 - it is a pipe
        said = process.stdout.readline().strip()
        if not said.endswith("stack.json"):
            raise ProcessFailed(f"{checkout} does not start: {said}")
        yield open_orderly(Path(said), name=name)
        audit, _ = process.communicate()  # closes its standard input
        if process.returncode:
            raise NotClean(f"{checkout}: {audit}")
