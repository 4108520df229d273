from collections.abc import Iterator
from ipaddress import ip_network

import pytest
from django.conf import LazySettings

from tests.receiver import Receiver, run_receiver


@pytest.fixture
def receiver(settings: LazySettings) -> Iterator[Receiver]:
    """Somebody who is told of events, at an address that this shop may reach."""
    settings.WEBHOOK_NETWORKS = [ip_network("127.0.0.0/8"), ip_network("::1/128")]
    with run_receiver() as running:
        yield running
