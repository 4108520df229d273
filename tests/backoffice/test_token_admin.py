"""Staff make a token, see it once, and revoke it."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.test import Client, RequestFactory

from accounts.models import ApiToken, User
from accounts.tokens import create_token, find_token
from tests.builders import everything

pytestmark = pytest.mark.django_db
URL = "/admin/accounts/apitoken/"


def test_a_new_token_is_shown_once_and_works(admin_client: Client) -> None:
    answer = admin_client.post(f"{URL}add/", {"name": "Warehouse", "scopes": ["stock", "events"], "days": "7"})

    [secret] = re.findall(r"orderly_[\w-]{43}", answer.text)
    token = find_token(RequestFactory().get("/", headers={"Authorization": f"Bearer {secret}"}))
    assert token
    assert (token.name, token.scopes) == ("Warehouse", ["events", "stock"])
    assert token.created_by == User.objects.get()
    assert token.expires_at
    assert "in this header: Authorization: Bearer TOKEN" in answer.text
    assert "no-store" in answer["Cache-Control"]
    assert "messages" not in answer.cookies  # or the browser would keep it
    assert secret not in admin_client.get(f"{URL}{token.pk}/change/").text


def test_a_name_that_is_taken_and_a_scope_that_nobody_knows_are_refused(admin_client: Client) -> None:
    create_token(name="Warehouse", scopes=[])

    taken = admin_client.post(f"{URL}add/", {"name": "Warehouse"})
    unknown = admin_client.post(f"{URL}add/", {"name": "Front end", "scopes": ["everything"]})

    assert "already exists" in taken.text
    assert "everything is not one of the available choices" in unknown.text
    assert ApiToken.objects.count() == 1


def test_a_token_that_staff_revoke_says_since_when(admin_client: Client) -> None:
    token, _secret = create_token(name="Warehouse", scopes=["stock"])

    answer = admin_client.post(URL, {"action": "revoke", "_selected_action": [token.pk]}, follow=True)

    assert "1 token is revoked." in answer.text
    assert ApiToken.objects.get().revoked_at


def test_whoever_may_only_look_makes_and_revokes_no_token(client: Client) -> None:
    token, _secret = create_token(name="Warehouse", scopes=["stock"])
    staff = User.objects.create_user("staff@example.com", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_apitoken"))
    client.force_login(staff)
    before = everything()

    assert client.post(f"{URL}add/", {"name": "Mine", "scopes": ["refunds"]}).status_code == 403
    client.post(URL, {"action": "revoke", "_selected_action": [token.pk]})

    assert everything() == before
