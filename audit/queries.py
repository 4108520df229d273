"""What a check of the audit is made of."""

from dataclasses import dataclass

# An archived order has left its payments, its refunds and its movements, and its code.
ARCHIVED = "EXISTS (SELECT FROM orders_archivedorder archived WHERE archived.code = {code})"


@dataclass(frozen=True)
class Check:
    """One query of an invariant: `sql` finds order codes or SKUs, and `detail` says what is wrong with them.

    `ledger`: the query also reads audit_charge, the copy of each provider's own ledger.
    """

    invariant: str
    detail: str
    sql: str
    ledger: bool = False
