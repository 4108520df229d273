"""What a process of the shop is once Django is ready."""

import gc
import subprocess
import sys


def test_garbage_is_collected_again_once_all_is_imported() -> None:
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0


def test_a_process_that_starts_no_django_goes_on_collecting_garbage() -> None:
    """The stack, the load of the bench and its baselines import parts of config, and live for long."""
    asked = "import config.addresses, config.buffering, gc; print(gc.isenabled())"
    answer = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)

    assert answer.stdout.split() == ["True"]
