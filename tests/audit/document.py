"""python -m tests.audit.document writes the tables of docs/audit.md; a test says when they are out of step."""

from audit.invariants import CHECKS
from lab.stack.var import BASE_DIR
from tests.audit.refund_tampering import REFUND_TAMPERINGS
from tests.audit.tampering import TAMPERINGS
from tests.crash.document import TABLE, write_table

DOCUMENT = BASE_DIR / "docs" / "audit.md"


def render(text: str) -> str:
    """The document with its tables as the code has them; the prose around them stays."""
    tables = {"invariants": write_invariants, "tamperings": write_tamperings}
    return TABLE.sub(lambda found: found[1] + tables[found[2]]() + found[3], text)


def write_invariants() -> str:
    return write_table(
        ["", "it is broken where there is", "read from"],
        ([check.invariant, check.detail, "the provider's ledger" if check.ledger else "the rows"] for check in CHECKS),
    )


def write_tamperings() -> str:
    return write_table(
        ["order", "what is done to it", "refused by", "the audit reports"],
        (
            [t.status, t.words, f"`{t.refused_by}`" if t.refused_by else "", ", ".join(t.found)]
            for t in [*TAMPERINGS, *REFUND_TAMPERINGS]
        ),
    )


if __name__ == "__main__":
    DOCUMENT.write_text(render(DOCUMENT.read_text()))
