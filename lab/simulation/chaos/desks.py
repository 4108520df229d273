"""The desks of a chaos run: staff who refund and who record transfers, and the banks of those who dispute."""

from threading import Event
from typing import NamedTuple

from lab.simulation.chaos.crowd import Crowd
from lab.simulation.chaos.disputes import DisputeDesk
from lab.simulation.chaos.refunds import RefundDesk
from lab.simulation.chaos.transfers import TransferDesk


class Desks(NamedTuple):
    refunds: RefundDesk
    transfers: TransferDesk
    disputes: DisputeDesk


def make_desks(*, run: str, crowd: Crowd, stopping: Event, closing: Event) -> Desks:
    """Nobody works there yet. Orders and disputes wait for some of them until `closing`, after the last strike."""
    return Desks(
        refunds=RefundDesk(run=run, crowd=crowd, stopping=stopping),
        transfers=TransferDesk(run=run, crowd=crowd, closing=closing),
        disputes=DisputeDesk(run=run, crowd=crowd, stopping=stopping, closing=closing),
    )
