"""What processes cost: a child that has ended is not forgotten, and a stranger is not counted."""

import os
import subprocess
import sys

from lab.bench.measure import Usage, find_family, measure_cpu, measure_memory

SPIN = "import time\nwhile time.process_time() < 0.3: pass"  # the kernel counts in hundredths, and rounds down


def test_measure_cpu_counts_what_an_ended_child_has_used() -> None:
    before = measure_cpu({"tests": os.getpid()})["tests"]

    subprocess.run([sys.executable, "-c", SPIN], check=True)

    assert measure_cpu({"tests": os.getpid()})["tests"] - before >= 0.2


def test_find_family_has_the_descendants_and_nobody_else() -> None:
    usage = {pid: Usage(parent, 0) for pid, parent in {1: 0, 10: 1, 11: 10, 12: 11, 20: 1}.items()}

    assert find_family(10, usage) == [10, 11, 12]
    assert find_family(99, usage) == []


def test_measure_memory_counts_what_a_process_keeps_and_not_what_it_shares() -> None:
    code = "import mmap\nshared = mmap.mmap(-1, 2**26)\nshared.write(b'x' * 2**26)\nprint()\ninput()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        memory = measure_memory({"child": process.pid})["child"]

    # The bytes that were written are gone by then; the 64 MB that were shared are not.
    assert 5 < memory < 60


def test_measure_memory_is_that_of_the_largest_process() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE):
        memory = measure_memory({"tests": os.getpid(), "nobody": 2**30})

    assert memory["tests"] > 20
    assert memory["nobody"] == 0
