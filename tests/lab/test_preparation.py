"""A throwaway stack begins as if it had migrated by itself."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, LiteralString, cast

import psycopg
import pytest
from django.db import connection

from lab.stack import preparation
from lab.stack.preparation import compute_key
from lab.stack.stack import Stack

QUERIES: Mapping[str, LiteralString] = {
    "columns": """
        SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity
        FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2
    """,
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2
    """,
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2",
    "triggers": """
        SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
        ORDER BY 1, 2
    """,
    "migrations": "SELECT app, name FROM django_migrations ORDER BY 1, 2",
    "permissions": """
        SELECT app_label, model, codename FROM auth_permission
        JOIN django_content_type type ON type.id = content_type_id
        ORDER BY 1, 2, 3
    """,
}


@pytest.mark.django_db
@pytest.mark.parametrize("what", QUERIES)
def test_the_database_of_a_stack_is_like_one_that_was_migrated(stack: Stack, what: str) -> None:
    with psycopg.connect(stack.environment["DATABASE_URL"]) as theirs, connection.cursor() as ours:
        found = spell_alike(theirs.execute(QUERIES[what]).fetchall())
        ours.execute(QUERIES[what])
        assert found == spell_alike(ours.fetchall())
        assert found


def spell_alike(rows: Sequence[tuple[Any, ...]]) -> list[str]:
    """The rows without casts and parentheses: a condition that was dumped and read again has others."""
    return [re.sub(r"\(|\)|::character varying|::text|\[\]", "", repr(row)) for row in rows]


def test_no_task_of_a_new_stack_is_late_from_the_beginning(stack: Stack) -> None:
    begun = "SELECT bool_and(ended_at >= pg_postmaster_start_time()), count(*) > 0 FROM audit_tick"
    with psycopg.connect(stack.environment["DATABASE_URL"]) as database:
        assert database.execute(begun).fetchone() == (True, True)


def test_another_file_or_other_settings_make_another_copy(tmp_path: Path) -> None:
    file = tmp_path / "orders" / "migrations" / "0001_initial.py"
    file.parent.mkdir(parents=True)
    file.write_text("one")
    key = compute_key(tmp_path, {})
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "stack.json").touch()
    assert compute_key(tmp_path, {"SWEEP_EVERY": "1"}) == key

    assert compute_key(tmp_path, {"DJANGO_SETTINGS_MODULE": "tests.crash.settings"}) != key
    (tmp_path / ".env").write_text("ARCHIVE_DIR=/srv/orderly/archive")
    assert compute_key(tmp_path, {}) != key
    (tmp_path / ".env").unlink()
    assert compute_key(tmp_path, {}) == key
    file.write_text("two")
    assert compute_key(tmp_path, {}) != key


# Stands for the shop's: whoever edits a file does so while it migrates.
MANAGE = """
import pathlib
{edit}
"""
EDIT = 'pathlib.Path("orders/models.py").write_text("edited")'


@pytest.mark.parametrize(("edit", "kept"), [(EDIT, 0), ("", 1)], ids=["edited", "control"])
def test_no_tables_are_kept_whose_files_changed_while_they_were_made(
    edit: str, kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout, programs = tmp_path / "checkout", tmp_path / "bin"
    for folder in (checkout / "orders", programs, tmp_path / "static"):
        folder.mkdir(parents=True)
    (checkout / "manage.py").write_text(MANAGE.format(edit=edit))
    (checkout / "orders" / "models.py").write_text("as it was")
    (programs / "pg_dump").write_text('#!/bin/sh\n: > "$2"\n')
    (programs / "pg_dump").chmod(0o700)
    monkeypatch.setattr(preparation, "BASE_DIR", checkout)
    monkeypatch.setattr(preparation, "KEPT", tmp_path / "kept")
    environment = {"PATH": str(programs), "DATABASE_DIRECT_URL": "", "STATIC_ROOT": str(tmp_path / "static")}
    stack = SimpleNamespace(caller_environment={}, environment={}, full_environment=environment)

    preparation.prepare(cast("Stack", stack), throwaway=True)

    assert len([found for found in (tmp_path / "kept").iterdir() if found.is_dir()]) == kept
