"""What the tests of a shop that is observed ask for."""

from collections.abc import Iterator

import pytest

from tests.receiver import Receiver, run_receiver


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """What takes the traces and the reports."""
    with run_receiver() as running:
        running.status = 200
        yield running
