"""Runs a module under libfaketime: python -m lab.simulation.strikes.skewed_clock MODULE [ARGUMENT...]

With the monotonic clock left alone, libfaketime 0.9.10 makes time.sleep fail: github.com/wolfcw/libfaketime/issues/426.
"""

import runpy
import select
import sys
import time
from typing import SupportsIndex


def sleep(seconds: float | SupportsIndex) -> None:
    select.select([], [], [], float(seconds))


if __name__ == "__main__":
    time.sleep = sleep  # before anything imports it
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
