"""What the tests of the audit share."""

import os
from urllib.parse import urlsplit

import pytest
from django.db import connection

from tests.provider import Provider


@pytest.fixture
def shop(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment of a shop's processes says, for those that the drill starts."""
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("STRIPE_API_BASE", provider.url)
