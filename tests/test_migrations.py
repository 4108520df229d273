"""While a version is rolled out, its migrations have run and the code before it still serves: none may break that."""

import pytest
from django.conf import settings
from django_migration_linter import MigrationLinter

# What the linter finds in them harms nobody: they are older than the first version, so no code before them runs.
BEFORE_THE_FIRST_VERSION = [
    "0003_dispute_status",
    "0003_several_payments",
    "0005_refunds",
    "0006_action_required",
    "0006_transfers",
]


@pytest.mark.django_db(transaction=True)  # what is built concurrently has no transaction
def test_no_migration_breaks_the_code_before_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Add what has a default in the database, and take away what nobody uses any more: see docs/operating.md."""
    linter = MigrationLinter(
        str(settings.BASE_DIR), ignore_name=BEFORE_THE_FIRST_VERSION, no_cache=True, quiet=["ok", "ignore", "warning"]
    )

    linter.lint_all_migrations()

    assert not linter.has_errors, capsys.readouterr().out
