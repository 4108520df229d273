"""One strike that lasts, in a process of its own, so that it ends also when the run that ordered it is killed.

python -m lab.simulation.strikes.lasting STACK_FILE RUN KIND TARGET SECONDS
It ends after that time, or with its standard input. Exit code 1 and a reason where there was nothing to strike.
"""

import select
import sys
from pathlib import Path

from lab.simulation.strikes.neighbours import (
    LastingStrike,
    fill_broker,
    lock_row,
    make_broker_read_only,
    make_database_read_only,
    make_provider_trickle,
    slow_down_mail_server,
)
from lab.simulation.strikes.processes import freeze_process, start_second_beat, start_skewed_worker
from lab.simulation.strikes.running_stack import Missed, RunningStack

LASTING: dict[str, LastingStrike] = {
    "freezes": freeze_process,
    "second-beat": start_second_beat,
    "read-only-broker": make_broker_read_only,
    "full-broker": fill_broker,
    "read-only-database": make_database_read_only,
    "slow-mail-server": slow_down_mail_server,
    "trickling-provider": make_provider_trickle,
    "locked-row": lock_row,
    "skewed-clock": start_skewed_worker,
}


def main(stack_file: str, run: str, kind: str, target: str, seconds: str) -> None:
    try:
        with LASTING[kind](RunningStack(Path(stack_file), run), target):
            select.select([sys.stdin], [], [], float(seconds))
    except Missed as reason:
        sys.exit(str(reason))


if __name__ == "__main__":
    main(*sys.argv[1:])
