"""A token that staff make is known by its digest, until it is revoked."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError
from django.test import RequestFactory
from django.utils import timezone

from accounts.models import ApiToken
from accounts.tokens import create_token, find_token, revoke_token

pytestmark = pytest.mark.django_db


def find(authorization: str) -> ApiToken | None:
    return find_token(RequestFactory().get("/", headers={"Authorization": authorization}))


def test_a_token_is_found_and_stored_nowhere() -> None:
    row, secret = create_token(name="Warehouse", scopes=["stock"])

    assert find(f"Bearer {secret}") == row
    assert secret.startswith("orderly_")
    assert secret not in str(ApiToken.objects.values())


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Bearer nobody", "Basic {secret}", "{secret}"])
def test_nothing_else_is_found(authorization: str) -> None:
    _row, secret = create_token(name="Warehouse", scopes=["stock"])

    assert find(authorization.format(secret=secret)) is None
    assert ApiToken.objects.get().last_used_at is None


def test_a_revoked_token_is_found_no_more_and_keeps_its_first_revocation() -> None:
    row, secret = create_token(name="Warehouse", scopes=["stock"])
    revoke_token(row)
    revoked_at = ApiToken.objects.get().revoked_at

    revoke_token(row)

    assert find(f"Bearer {secret}") is None
    assert ApiToken.objects.get().revoked_at == revoked_at


def test_a_token_is_good_for_its_days() -> None:
    row, secret = create_token(name="Warehouse", scopes=["stock"], days=2)
    assert find(f"Bearer {secret}") == row

    ApiToken.objects.update(expires_at=timezone.now())

    assert find(f"Bearer {secret}") is None


def test_a_command_makes_a_token_and_prints_it_alone(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("create_token", "Warehouse", "--scope", "stock", "--scope", "events", "--expires", "30")

    secret = capsys.readouterr().out.strip()
    token = find(f"Bearer {secret}")
    assert token
    assert (token.name, token.scopes) == ("Warehouse", ["events", "stock"])
    assert token.expires_at
    assert round((token.expires_at - timezone.now()) / timedelta(days=1)) == 30
    call_command("revoke_token", "Warehouse")
    assert find(f"Bearer {secret}") is None


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["Warehouse"], "already"),
        (["Shop", "--scope", "everything"], "invalid choice"),
        (["Shop", "--expires", "0"], "from 1 to 36500"),
        (["Shop", "--expires", "99999999999"], "from 1 to 36500"),
        (["x" * 101], "at most 100 characters"),
    ],
)
def test_a_command_that_makes_no_sense_makes_no_token(asked: list[str], words: str) -> None:
    create_token(name="Warehouse", scopes=[])

    with pytest.raises(CommandError, match=words):
        call_command("create_token", *asked)

    assert ApiToken.objects.count() == 1


def test_a_token_that_nobody_made_is_not_revoked() -> None:
    with pytest.raises(CommandError, match="no token Warehouse"):
        call_command("revoke_token", "Warehouse")


def test_its_last_use_is_noted_once_a_minute() -> None:
    _row, secret = create_token(name="Warehouse", scopes=["stock"])
    find(f"Bearer {secret}")
    first = ApiToken.objects.get().last_used_at
    find(f"Bearer {secret}")
    assert first
    assert ApiToken.objects.get().last_used_at == first

    ApiToken.objects.update(last_used_at=first - timedelta(minutes=2))
    find(f"Bearer {secret}")

    assert ApiToken.objects.filter(last_used_at__gte=first).exists()


def test_a_scope_that_nobody_knows_is_refused() -> None:
    with pytest.raises(IntegrityError, match="token_scopes_are_known"):
        create_token(name="Warehouse", scopes=["everything"])
