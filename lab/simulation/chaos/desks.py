"""The desks of a chaos run: staff who refund and record transfers, the banks that dispute, and who is told of it."""

from threading import Event
from typing import NamedTuple

from lab.simulation.chaos.crowd import Crowd
from lab.simulation.chaos.disputes import DisputeDesk
from lab.simulation.chaos.events import EventDesk
from lab.simulation.chaos.refunds import RefundDesk
from lab.simulation.chaos.transfers import TransferDesk


class Desks(NamedTuple):
    refunds: RefundDesk
    transfers: TransferDesk
    disputes: DisputeDesk
    events: EventDesk


def make_desks(*, run: str, seed: int, crowd: Crowd, stopping: Event, closing: Event) -> Desks:
    """Nobody works there yet. Orders, disputes and events wait for some until `closing`, after the last strike."""
    return Desks(
        refunds=RefundDesk(run=run, crowd=crowd, stopping=stopping),
        transfers=TransferDesk(run=run, crowd=crowd, closing=closing),
        disputes=DisputeDesk(run=run, crowd=crowd, stopping=stopping, closing=closing),
        events=EventDesk(run=run, seed=seed, crowd=crowd, stopping=stopping, closing=closing),
    )
