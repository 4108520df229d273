"""The gateway of bank transfers: its provider is what staff record of the shop's bank account."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from math import inf
from typing import Any

from django.conf import settings
from django.db import Error, IntegrityError, transaction
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from database_errors import describe
from money import format_money
from payments.gateway import (
    Charge,
    ChargeRequest,
    GatewayUnavailable,
    NextAction,
    ProviderDispute,
    ProviderRefund,
    RefundRefused,
    get_gateway,
)
from payments.payment_form import PaymentForm
from payments.refund_models import Refund
from payments.refunds import hasten_refunds
from payments.time_limits import limit_time
from payments.transfers import Transfer, TransferAnswer, TransferRefund


class TransferReused(Exception):
    """Another transfer, or another refund, was recorded under the bank's reference."""


class ManualGateway:
    """Speaks payments.gateway.Gateway, to our own database. One instance serves all threads.

    A payment is paid by one transfer of exactly its amount. Any other transfer pays nothing, and goes back.
    """

    title = _("Bank transfer")
    timeout = 2.0  # seconds; if it takes longer and another process asks, the answer that was saved first stands

    @property
    def time_to_pay(self) -> timedelta:
        return timedelta(days=settings.TRANSFER_DAYS)

    def charge(self, request: ChargeRequest) -> Charge:
        """Return the transfer that pays the request, once one is recorded. Raises GatewayUnavailable until then."""
        with errors_are_unknown():
            if found := find_unused(request):
                save_answer(request, found)
            answer = TransferAnswer.objects.filter(key=request.key).first()
            if answer is None:
                raise GatewayUnavailable("no transfer of this amount was recorded yet")
            if answer.transfer_id is None:
                raise GatewayUnavailable("cancelled: no transfer pays this any more")
            return read_answer(answer, request)

    def cancel(self, request: ChargeRequest) -> Charge | None:
        """Save under the key that no transfer pays it, or return the one that does. Whichever is saved first stays."""
        with errors_are_unknown():
            save_answer(request, find_unused(request))
            answer = TransferAnswer.objects.filter(key=request.key).first()
            if answer is None:
                raise GatewayUnavailable("the transfer was used for another payment just now")
            return read_answer(answer, request) if answer.transfer_id else None

    def next_action(self, request: ChargeRequest) -> NextAction | None:
        return None

    def refund(self, *, key: str, reference: str, provider_id: str, amount: int) -> str:
        """Ask staff to send money back, and return the bank's reference once they have recorded that they did.

        Raises GatewayUnavailable until then, and RefundRefused for more than is left.
        """
        with errors_are_unknown(), transaction.atomic():
            transfer = Transfer.objects.select_for_update().filter(provider_id=provider_id).first()
            if transfer is None:
                raise RefundRefused("no_such_transfer", f"no transfer {provider_id} was recorded")
            refund = TransferRefund.objects.filter(key=key).first() or ask_for_refund(transfer, key=key, amount=amount)
        if (refund.transfer_id, refund.amount) != (transfer.pk, amount):
            raise GatewayUnavailable("another refund was asked for under this key")
        if refund.provider_id is None:
            raise GatewayUnavailable("staff have to send it: it waits among the refunds of transfers")
        return refund.provider_id

    def list_refunds(self, *, provider_id: str) -> list[ProviderRefund]:
        """Every refund of the transfer, newest first. One that staff have not sent yet is pending."""
        with errors_are_unknown():
            asked = TransferRefund.objects.filter(transfer__provider_id=provider_id).order_by("-requested_at", "-pk")
            return [as_refund(refund) for refund in asked]

    def retrieve(self, provider_id: str) -> Charge | None:
        with errors_are_unknown():
            transfer = Transfer.objects.with_sums().filter(provider_id=provider_id).first()
            return as_charge(transfer) if transfer else None

    def list_charges(
        self, *, since: datetime | None = None, until: datetime | None = None, within: float = inf
    ) -> Iterator[Charge]:
        """Every transfer that was recorded in this time, whether it pays anything or not, newest first.

        Raises GatewayUnavailable, also once it has taken more than `within` seconds.
        """
        recorded = Transfer.objects.with_sums().order_by("-recorded_at", "-pk")
        transfers = recorded.filter(recorded_at__gte=since) if since else recorded
        transfers = transfers.filter(recorded_at__lt=until) if until else transfers
        with errors_are_unknown():
            yield from map(as_charge, limit_time(transfers.iterator(1000), within))

    def retrieve_dispute(self, provider_id: str) -> ProviderDispute:
        raise GatewayUnavailable("nobody takes a transfer back")

    def list_disputes(
        self, *, since: datetime | None = None, until: datetime | None = None, within: float = inf
    ) -> Iterator[ProviderDispute]:
        return iter(())

    def payment_url(self, provider_id: str) -> str | None:
        return None

    def payment_form(self) -> PaymentForm | None:
        return None

    def instructions(self, *, reference: str, amount: int, currency: str) -> Sequence[tuple[str | Promise, str]]:
        """Where to send the money, and what to write on it."""
        lines = [
            (_("Account holder"), settings.TRANSFER_ACCOUNT_HOLDER),
            (_("Account number"), settings.TRANSFER_ACCOUNT),
            (_("Bank"), settings.TRANSFER_BANK),
            (_("Amount"), format_money(amount, currency)),
            (_("Reference"), reference),
        ]
        return [(label, value) for label, value in lines if value]


def name_gateway() -> str:
    """Its name in PAYMENT_GATEWAYS. Empty: the shop takes no transfers."""
    names = (name for name in settings.PAYMENT_GATEWAYS if isinstance(get_gateway(name), ManualGateway))
    return next(names, "")


def record_arrival(
    *,
    reference: str,
    amount: int,
    currency: str,
    provider_id: str,
    arrived_on: date,
    actor: User | None = None,
    note: str = "",
) -> tuple[Transfer, bool]:
    """Write down a transfer of `amount` minor units, once for each bank's reference; return it and whether it is new.

    Raises TransferReused if another one was recorded under that reference.
    """
    asked = {"reference": reference, "amount": amount, "currency": currency, "arrived_on": arrived_on}
    transfer, created = Transfer.objects.get_or_create(
        provider_id=provider_id, defaults={**asked, "actor": actor, "note": note}
    )
    if not created and any(getattr(transfer, name) != value for name, value in asked.items()):
        raise TransferReused(provider_id)
    return transfer, created


def ask_for_refund(transfer: Transfer, *, key: str, amount: int) -> TransferRefund:
    """Have staff send back `amount` minor units. The transfer is locked, or new. Raises RefundRefused."""
    if amount > (left := transfer.amount - transfer.refunds.sum_amount()):
        code = "amount_too_large" if left else "charge_already_refunded"
        raise RefundRefused(code, f"only {left} is left of {transfer.provider_id}")
    return TransferRefund.objects.create(transfer=transfer, key=key, amount=amount)


def record_sent_refund(*, pk: int, provider_id: str, sent_on: date, actor: User | None = None) -> bool:
    """Write down that staff have sent a refund, under the bank's reference; return whether that is new.

    Raises TransferReused if it was recorded under another reference, or if another refund has this one.
    """
    recorded = {"provider_id": provider_id, "sent_on": sent_on, "actor": actor}
    try:
        with transaction.atomic():
            sent = TransferRefund.objects.unsent().filter(pk=pk).update(**recorded)
    except IntegrityError:  # somebody records another refund under it at the same time
        raise TransferReused(provider_id) from None
    if sent:
        hasten_refunds(Refund.objects.open().filter(key__in=TransferRefund.objects.filter(pk=pk).values("key")))
        return True
    if not TransferRefund.objects.filter(pk=pk, provider_id=provider_id).exists():
        raise TransferReused(provider_id)
    return False


def find_unused(request: ChargeRequest) -> Transfer | None:
    exact = {"reference": request.reference, "amount": request.amount, "currency": request.currency}
    return Transfer.objects.unused().filter(**exact).order_by("pk").first()


def save_answer(request: ChargeRequest, transfer: Transfer | None) -> None:
    """Whoever saves an answer under the key first wins, and no transfer answers two keys."""
    TransferAnswer.objects.bulk_create([TransferAnswer(key=request.key, transfer=transfer)], ignore_conflicts=True)


def read_answer(answer: TransferAnswer, request: ChargeRequest) -> Charge:
    transfer = Transfer.objects.with_sums().get(answer=answer)
    asked = (request.reference, request.amount, request.currency)
    if (transfer.reference, transfer.amount, transfer.currency) != asked:
        raise GatewayUnavailable(f"the key {request.key} was answered with a transfer of another request")
    return as_charge(transfer)


def as_charge(transfer: Transfer) -> Charge:
    """The transfer has its sums. What is to be sent back is owed for a while: then the audit counts it as kept."""
    in_time = timezone.now() < transfer.recorded_at + timedelta(days=settings.TRANSFER_REFUND_DAYS)
    sums: Any = transfer
    return Charge(
        provider_id=transfer.provider_id,
        reference=transfer.reference,
        amount=transfer.amount,
        currency=transfer.currency,
        refunded=sums.sent_back,
        created_at=transfer.recorded_at,
        owed=sums.to_send_back if in_time and not sums.pays else 0,
    )


def as_refund(refund: TransferRefund) -> ProviderRefund:
    return ProviderRefund(
        provider_id=refund.provider_id or refund.key,
        key=refund.key,
        amount=refund.amount,
        status="succeeded" if refund.provider_id else "pending",
        created_at=refund.requested_at,
    )


@contextmanager
def errors_are_unknown() -> Iterator[None]:
    try:
        yield
    except Error as error:
        raise GatewayUnavailable(f"the ledger of transfers can't be read: {describe(error)}") from error
