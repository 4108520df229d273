"""Nobody adds a column that may hold a person's data without saying what an erasure does to it."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import models

from privacy.fields import ERASED, KEPT

TEXTS: tuple[Any, ...] = (
    models.CharField,
    models.TextField,
    models.JSONField,
    models.BinaryField,
    models.FileField,
    models.GenericIPAddressField,
    models.GeneratedField,
    ArrayField,
)


def list_columns() -> Iterator[tuple[str, str]]:
    """Each column that could hold a person's data, with its model: not those that have one of a few values."""
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, TEXTS) and not field.choices:
                yield model._meta.label, f"{model._meta.label}.{field.name}"


def test_every_column_of_text_is_erased_or_kept_for_a_reason() -> None:
    unnamed = [column for model, column in list_columns() if not {model, column} & (ERASED.keys() | KEPT.keys())]

    assert unnamed == [], "name each of them in privacy/fields.py, and erase what is a person's"


def test_no_column_is_named_that_is_not_there() -> None:
    known = {name for names in list_columns() for name in names}

    assert [name for name in ERASED.keys() | KEPT.keys() if name not in known] == []


def test_no_column_is_both_erased_and_kept() -> None:
    kept = [column for column in ERASED if column in KEPT or column.rpartition(".")[0] in KEPT]

    assert kept == []
