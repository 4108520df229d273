from datetime import timedelta

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session

from accounts.tasks import clear_sessions

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
