"""What every test can ask for."""

from collections.abc import Iterator
from typing import cast
from uuid import uuid4

import pytest
from celery import current_app
from django.conf import LazySettings
from django.conf import global_settings as default_settings
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.management import create_contenttypes
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.models.signals import post_migrate
from django.test import override_settings
from django.utils import translation

from config.logs import Formatter
from lab.stack.shop import run_stack
from lab.stack.stack import Stack
from payments.gateway import get_gateway
from payments.stripe import StripeGateway
from tests.provider import Provider
from tests.servers import GIVEN, TRANSFERS

QUICK = {
    **TRANSFERS,
    "CHECKOUT_GATEWAYS": "stripe",
    "ORDER_EXPIRES_AFTER": "20",
    "SANDBOX_HANG_SECONDS": "4",
    "SANDBOX_WEBHOOKS": "0",  # some tests look at what is there before the sweep
    "STRIPE_TIMEOUT": "3",
    "SWEEP_AFTER": "4",
    "SWEEP_EVERY": "1",
    "WEBHOOK_TIMEOUT": "2",
}


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The whole shop in its own processes on its own databases, with short clocks; started when first asked for."""
    with run_stack(caller={**GIVEN, **QUICK}, fsync=False, forking=True) as running:
        yield running


@pytest.fixture(scope="module")
def sku(stack: Stack) -> str:
    """A product of the module's own, 1,000 in stock."""
    sku = uuid4().hex
    catalog = stack.folder / f"{sku}.csv"
    catalog.write_text(f"sku,name,price\n{sku},Mug,5.00\n")
    assert stack.manage("load_catalog", str(catalog), "--stock", "1000").returncode == 0
    return sku


@pytest.fixture(scope="session")
def provider_process() -> Iterator[Provider]:
    provider = Provider()
    try:
        yield provider
    finally:
        if provider.is_running:
            provider.stop()
        provider.drop_database()


@pytest.fixture
def provider(provider_process: Provider) -> Provider:
    """The sandbox provider as a process of its own, running and without faults."""
    if not provider_process.is_running:
        provider_process.start()
    provider_process.request("DELETE", "/control")
    return provider_process


@pytest.fixture
def gateway(provider: Provider, settings: LazySettings) -> Iterator[StripeGateway]:
    """The shop's gateway, to that provider."""
    settings.STRIPE_API_BASE = provider.url
    settings.STRIPE_TIMEOUT = 0.8  # longer than slow, shorter than hang
    get_gateway.cache_clear()
    yield cast(StripeGateway, get_gateway())
    get_gateway.cache_clear()


@pytest.fixture
def transfers(gateway: StripeGateway, settings: LazySettings) -> None:
    """The shop takes bank transfers too, by the gateway `manual`."""
    settings.PAYMENT_GATEWAYS = {**settings.PAYMENT_GATEWAYS, "manual": "payments.manual.ManualGateway"}
    settings.CHECKOUT_GATEWAYS = list(settings.PAYMENT_GATEWAYS)
    settings.TRANSFER_ACCOUNT_HOLDER = TRANSFERS["TRANSFER_ACCOUNT_HOLDER"]
    settings.TRANSFER_ACCOUNT = TRANSFERS["TRANSFER_ACCOUNT"]


@pytest.fixture
def empty_ledger(provider: Provider) -> None:
    """No charge at the provider from an earlier test."""
    provider.forget_everything()


@pytest.fixture
def reference() -> str:
    return uuid4().hex


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> None:
    """After a test that commits, keep the permissions: to write them anew took half of the time of the next test."""
    post_migrate.disconnect(create_contenttypes)
    post_migrate.disconnect(dispatch_uid="django.contrib.auth.management.create_permissions")
    find_tables = connection.introspection.django_table_names
    kept = {ContentType._meta.db_table, Permission._meta.db_table}

    def find_tables_to_flush(**options: bool) -> list[str]:
        return [table for table in find_tables(**options) if table not in kept]

    connection.introspection.django_table_names = find_tables_to_flush  # type: ignore[assignment,method-assign]


@pytest.fixture(autouse=True)
def _lines_as_operators_read_them(caplog: pytest.LogCaptureFixture) -> None:
    """`caplog.text` has the lines with their fields."""
    caplog.handler.setFormatter(Formatter("line"))


@pytest.fixture(autouse=True)
def _language_of_the_settings() -> Iterator[None]:
    """A request leaves its reader's language in the thread."""
    yield
    translation.deactivate()


@pytest.fixture(autouse=True)
def _empty_queues() -> Iterator[None]:
    """No worker takes what a test publishes. The next test must not count it."""
    yield
    with current_app.connection_or_acquire() as broker:
        for queue in current_app.conf.task_queues:
            queue(broker.default_channel).purge()


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    """Django's own hasher takes a quarter of a second for each user that a test makes."""
    hashers = ["django.contrib.auth.hashers.MD5PasswordHasher", *default_settings.PASSWORD_HASHERS]
    with override_settings(PASSWORD_HASHERS=hashers):
        yield
