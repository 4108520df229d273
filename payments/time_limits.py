"""How long a gateway's list may take."""

from collections.abc import Iterable, Iterator
from time import monotonic
from typing import TypeVar

from payments.gateway import GatewayUnavailable

T = TypeVar("T")


def limit_time(rows: Iterable[T], seconds: float) -> Iterator[T]:
    """Yield the rows. Raises GatewayUnavailable once they have taken longer."""
    end = monotonic() + seconds
    for row in rows:
        if monotonic() > end:
            raise GatewayUnavailable(f"the provider's list takes longer than {seconds:.0f} seconds")
        yield row
