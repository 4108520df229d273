import pytest
from django.core.management import call_command
from django.test import Client

from accounts.models import User

pytestmark = pytest.mark.django_db
NEW_USER = {"usable_password": "true", "password1": "correct horse battery", "password2": "correct horse battery"}


def test_a_user_is_added_by_email_and_password(admin_client: Client) -> None:
    answer = admin_client.post("/admin/accounts/user/add/", {"email": "ann@example.com", **NEW_USER})

    assert answer.status_code == 302
    assert User.objects.get(email="ann@example.com").check_password("correct horse battery")


def test_an_email_that_has_an_account_is_refused(admin_client: Client) -> None:
    User.objects.create_user("ann@example.com", "first")

    answer = admin_client.post("/admin/accounts/user/add/", {"email": "ann@example.com", **NEW_USER})

    assert "User with this Email address already exists." in answer.text
    assert User.objects.get(email="ann@example.com").check_password("first")


def test_an_email_that_no_mail_can_be_sent_to_is_refused(admin_client: Client) -> None:
    user, email = User.objects.create_user("ann@example.com"), "a@" + "ü" * 60 + ".com"

    added = admin_client.post("/admin/accounts/user/add/", {"email": email, **NEW_USER})
    changed = admin_client.post(f"/admin/accounts/user/{user.pk}/change/", {"email": email})

    assert all("Enter a valid email address." in answer.text for answer in (added, changed))
    assert not User.objects.filter(email=email).exists()


def test_a_user_added_in_capitals_can_log_in(admin_client: Client) -> None:
    admin_client.post("/admin/accounts/user/add/", {"email": "Ann@Example.com", **NEW_USER})

    assert Client().login(email="ann@example.com", password="correct horse battery")


def test_a_user_is_deactivated_and_named_but_never_deleted(admin_client: Client) -> None:
    user = User.objects.create_user("ann@example.com", "secret")
    page = f"/admin/accounts/user/{user.pk}/"

    assert admin_client.post(f"{page}delete/", {"post": "yes"}).status_code == 403
    assert admin_client.post(f"{page}change/", {"email": "ann@example.com", "first_name": "Ann"}).status_code == 302

    user.refresh_from_db()
    assert (user.first_name, user.is_active) == ("Ann", False)


def test_users_are_found_by_email(admin_client: Client) -> None:
    User.objects.create_user("ann@example.com")

    found = admin_client.get("/admin/accounts/user/", {"q": "ann@"}).context["cl"].result_list

    assert [user.email for user in found] == ["ann@example.com"]


def test_createsuperuser_takes_email_and_password_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_EMAIL", "boss@example.com")
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "correct horse battery")

    call_command("createsuperuser", interactive=False, verbosity=0)

    assert Client().login(email="boss@example.com", password="correct horse battery")
