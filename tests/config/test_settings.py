import runpy
from ipaddress import ip_network
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.var import BASE_DIR


def read_settings() -> dict[str, Any]:
    """As a process that starts now would read them."""
    return runpy.run_path(str(BASE_DIR / "config" / "settings.py"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CHECKOUT_LIMITS", "session"),
        ("CHECKOUT_LIMITS", "10"),
        ("CHECKOUT_LIMITS", "session=ten"),
        ("CHECKOUT_LIMITS", "ip=-1"),
        ("CHECKOUT_LIMITS", "visitor=10"),
        ("DECLINE_LIMITS", "card=5"),
        ("LOG_IN_LIMITS", "session=10"),
        ("LOG_IN_LIMITS", "account=10 ip=50"),
        ("MAIL_LIMITS", "account="),
        ("TRUSTED_PROXIES", "proxy.example.com"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("LIMIT_WINDOW", "0"),
        ("LIMIT_WINDOW", "an hour"),
        ("SHOP_MAX_UNPAID", "-1"),
        ("SHOP_MAX_UNPAID", "many"),
    ],
)
def test_a_bad_value_is_an_error_at_start_that_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ImproperlyConfigured) as error:
        read_settings()

    assert name in str(error.value)
    assert value in str(error.value)


def test_a_limit_that_is_left_out_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHECKOUT_LIMITS")
    defaults = read_settings()["CHECKOUT_LIMITS"]

    monkeypatch.setenv("CHECKOUT_LIMITS", "session=7, ip=0")

    assert read_settings()["CHECKOUT_LIMITS"] == {**defaults, "session": 7, "ip": 0}


def test_trusted_proxies_are_addresses_and_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8,")

    values = read_settings()

    assert values["TRUSTED_PROXIES"] == [ip_network("127.0.0.1"), ip_network("10.0.0.0/8")]
    assert values["SECURE_PROXY_SSL_HEADER"] == ("HTTP_X_FORWARDED_PROTO", "https")
