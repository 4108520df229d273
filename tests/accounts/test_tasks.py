from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts.models import AccountMail
from accounts.tasks import clear_sessions, delete_old_mails

pytestmark = pytest.mark.django_db


def make_session(*, lives: timedelta) -> str:
    session = SessionStore()
    session.set_expiry(lives)
    session.create()
    assert session.session_key
    return session.session_key


def test_clear_sessions_removes_those_that_have_expired_only() -> None:
    make_session(lives=-timedelta(minutes=1))
    current = make_session(lives=timedelta(minutes=1))

    clear_sessions()

    assert [session.session_key for session in Session.objects.all()] == [current]


def test_mails_are_forgotten_once_their_links_would_be_too_old(settings: LazySettings) -> None:
    age = timedelta(seconds=settings.VERIFICATION_LINK_AGE)
    for email in ("old@example.com", "new@example.com"):
        AccountMail.objects.create(kind=AccountMail.Kind.RESET, email=email, language="en")
    AccountMail.objects.filter(email="old@example.com").update(created_at=timezone.now() - age - timedelta(hours=1))
    AccountMail.objects.filter(email="new@example.com").update(created_at=timezone.now() - age + timedelta(hours=1))

    delete_old_mails()

    assert [mail.email for mail in AccountMail.objects.all()] == ["new@example.com"]
