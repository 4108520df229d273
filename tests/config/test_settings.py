import os
import re
import runpy
import subprocess
import sys
import traceback
from contextlib import nullcontext
from ipaddress import ip_network
from typing import Any

import django
import pytest
from django.core.exceptions import ImproperlyConfigured

from lab.stack.var import BASE_DIR


def read_settings() -> dict[str, Any]:
    """As a process that starts now would read them."""
    for subject in ("limit", "log", "mail", "payment", "privacy", "shop"):
        sys.modules.pop(f"config.{subject}_settings", None)
    return runpy.run_path(str(BASE_DIR / "config" / "settings.py"))


WRONG = [
    *((name, value) for name in ("ORDERLY_LOCAL", "DEBUG") for value in ("maybe", "2")),
    *(
        (name, value)
        for name in (
            *("BROKER_TIMEOUT", "SWEEP_EVERY", "SWEEP_AFTER", "SWEEP_AFTER_MAX", "AUDIT_EVERY", "MAIL_EVERY"),
            *("LOST_AFTER", "PENDING_GRACE", "RECONCILE_EVERY", "REVIEW_GRACE", "WEBHOOK_TIMEOUT"),
            *("WAITING_ROOM_PATIENCE", "WAITING_ROOM_WINDOW"),
        )
        for value in ("abc", "0", "-1", "nan", "inf", "1e12", "5 s", "")
    ),
    ("MAIL_TIMEOUT", "31"),
    ("STRIPE_TIMEOUT", "61"),
    ("STRIPE_TIMEOUT", "nan"),
    *(
        (name, value)
        for name in (
            *("ORDER_EXPIRES_AFTER", "ORDER_MAX_SWEEPS", "PAYMENT_MAX_REQUESTS", "AUDIT_DAYS", "LIMIT_WINDOW"),
            *("RECONCILE_DAYS", "TRANSFER_REFUND_DAYS", "WEBHOOK_DAYS", "WORKER_TIMEOUT"),
            *("WAITING_ROOM_INSIDE", "WAITING_ROOM_LEAST", "WAITING_ROOM_MOST"),
        )
        for value in ("an hour", "0", "-1", "1.5", "10000000000")
    ),
    *((name, value) for name in ("SHOP_MAX_QUANTITY", "SHOP_MAX_LINES") for value in ("0", "-5", "many")),
    *((name, value) for name in ("SHOP_MAX_UNPAID", "SHOP_LOW_STOCK") for value in ("-1", "many")),
    *(
        (name, value)
        for name in ("CUSTOMER_REFUND_HOURS", "DATABASE_POOL", "PRODUCT_LIST_AGE", "SHOP_HOLD_ON_DECLINE")
        for value in ("-1", "1.5", "many", "10000000000", "")
    ),
    ("WAITING_ROOM_MOST", "9"),  # less than WAITING_ROOM_LEAST
    *(("WAITING_ROOM", value) for value in ("", "on", "shop")),
    *(("WAITING_ROOM_WITHOUT_REDIS", value) for value in ("", "off")),
    *((name, value) for name in ("MEDIA_ROOT", "STATIC_ROOT") for value in ("media", "./media", "~/media", "")),
    *((name, "10.0.0.1/8") for name in ("TRUSTED_PROXIES", "WEBHOOK_NETWORKS")),
    ("TRANSFER_BANK", "x" * 101),
    ("AUDIT_DAYS", "40000"),
    *(("ORDER_DAYS", value) for value in ("-1", "179", "a year")),
    *((name, value) for name in ("AUDIT_RUN_DAYS", "KEY_DAYS", "SESSION_DAYS") for value in ("0", "many")),
    *(("ARCHIVE_DIR", value) for value in ("archive", "/srv/archive")),  # the second: without ORDER_DAYS
    ("ORDER_EXPIRES_AFTER", "31622401"),  # longer than PostgreSQL allows
    *(("CHECKOUT_LIMITS", value) for value in ("session", "10", "session=ten", "ip=-1", "visitor=10", "ip=1=2")),
    ("DECLINE_LIMITS", "card=5"),
    ("LOG_IN_LIMITS", "session=10"),
    ("LOG_IN_LIMITS", "account=10 ip=50"),
    ("MAIL_LIMITS", "account="),
    *(("SHOP_PAYMENT_METHODS", value) for value in ("card", "card=", "=By card", "a card=By card", "a=A; b")),
    ("SHOP_NAME", "x" * 101),
    *(("SHOP_CONTACT", value) for value in ("shop", "a@x.com, b@x.com")),
    *(("SHOP_LINKS", value) for value in ("Terms", "Terms=", "=/terms/", "Terms=javascript:alert(1)", "Terms=//x.com")),
    *(("SHOP_TIME_ZONE", value) for value in ("Moscow", "UTC+2", "../etc/passwd", "")),
    *(("MEDIA_URL", value) for value in ("media", "https://example.com/media/", "/", "//example.com/")),
    *(("SHOP_PICTURE_BYTES", value) for value in ("0", "8 MB", "10000001")),
    *(("EXTRA_APPS", value) for value in ("nowhere", "nowhere.apps.Nowhere", "shop..apps")),
    ("TRUSTED_PROXIES", "proxy.example.com"),
    *(("SHOP_CURRENCY", value) for value in ("ZZZ", "gbp", "XAU", "DEM", "")),
    *(("DATABASE_POOLER", value) for value in ("session", "", "pgbouncer")),
    *(("LOG_FORMAT", value) for value in ("text", "JSON")),
    *(("LOG_LEVEL", value) for value in ("LOUD", "info", "5")),
    *(("PAYMENT_GATEWAYS", f"stripe={path}") for path in ("foo.Bar", "Bar", "payments.paypal.X", "payments..stripe.X")),
    *(
        ("PAYMENT_GATEWAYS", value)
        for value in ("", "payments.stripe.StripeGateway", "a b=payments.stripe.StripeGateway")
    ),
    *(("CHECKOUT_GATEWAYS", value) for value in ("paypal", "stripe,stripe", "stripe;stripe")),
    ("TRANSFER_ACCOUNT", "GB33 BUKB 2020 1555 5555 56"),  # the last digit is wrong
    ("TRANSFER_DAYS", "0"),
    *(("ALLOWED_HOSTS", value) for value in ("https://shop.example.com", "shop.example.com:443", "a b")),
    *(("STAFF_EMAILS", value) for value in ("ann", "ann@example.com bob@example.com", "ann@example.com,bob", "ann@")),
    *(("DEFAULT_FROM_EMAIL", value) for value in ("shop", "Tea Shop", "a@x.com, b@x.com", "shop@straße.example", "")),
]
# What may have a password in it is not repeated.
SECRET = "hunter2"
WRONG_SECRETS = [
    *(("DATABASE_URL", url) for url in ("{}", "sqlite:///{}.db", "mysql://u:{}@host/name", "postgres://u:{}@host")),
    *(("DATABASE_URL", url) for url in ("postgres://u:{}@host:port/name", "postgres://u:{}@[::1/name")),
    *(("REDIS_URL", url) for url in ("{}", "http://:{}@host/0", "redis://:{}@host:port/0", "redis://:{}@host/zero")),
    *(("REDIS_URL", url) for url in ("redis://:{}@/0", "redis:///{}", "amqp://u:{}@host//", "redis://:{}@a,b/0")),
    *(("REDIS_URL", f"{kind}://:{{}}@host/0") for kind in ("redis-cluster", "rediscluster", "redis+cluster")),
    *(("REDIS_URL", f"sentinel://:{{}}@{rest}") for rest in ("a:1,b:2", "a:1,b:2/0/0/0", "a:x/shop", "a/shop?db=1")),
    ("DATABASE_DIRECT_URL", "postgres://u:{}@host"),
    *(("BROKER_URL", url) for url in ("{}", "kafka://u:{}@host", "amqp://u:{}@", "amqp://u:{}@host:x//")),
    *(
        ("BROKER_URL", url)
        for url in ("amqp://u:{}@one,two:x//", "amqp://u:{}@host//?ssl=1", "rediscluster://:{}@host")
    ),
    *(("EMAIL_URL", url) for url in ("{}", "smtp://u:{}@", "mail://u:{}@host", "smtp://u:{}@host:port")),
    *(("SHOP_URL", url) for url in ("{}", "ftp://{}", "https://u:{}@host", "https://host?{}", "https://a b{}")),
    *(("STRIPE_API_BASE", url) for url in ("{}", "api.stripe.com/{}")),
    *(("STRIPE_JS_URL", url) for url in ("{}", "js.stripe.com/{}")),
    *(("STRIPE_PUBLISHABLE_KEY", key) for key in ("sk_live_{}", "rk_test_{}", "{}", "pk_live {}")),
    *(("CSRF_TRUSTED_ORIGINS", url) for url in ("{}", "{}.example.com", "https://u:{}@host", "https://host/{}")),
    *(
        (name, value)
        for name in ("API_TOKENS", "API_REFUND_TOKENS", "METRICS_TOKEN", "REDIS_PREFIX", "STRIPE_WEBHOOK_SECRETS")
        for value in ("{} x", "{}é")
    ),
    *(("STRIPE_API_KEY", key) for key in ("sk_{}...", "pk_live_{}", "pk_test_{}")),
    ("SECRET_KEY", ""),
    *(("OTEL_EXPORTER_OTLP_ENDPOINT", value) for value in ("{}", "{}:4318", "grpc://{}:4317")),
    *(("SENTRY_DSN", value) for value in ("{}", "https://sentry.example.com/{}", "https://{}@sentry.example.com/")),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_is_an_error_at_start_that_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ImproperlyConfigured) as error:
        read_settings()

    assert str(error.value).startswith(f"{name} ")
    assert value in str(error.value)


@pytest.mark.parametrize(("name", "value"), WRONG_SECRETS)
def test_an_error_repeats_nothing_that_may_be_secret(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv("DATABASE_POOLER", "transaction")
    monkeypatch.setenv(name, value.format(SECRET))

    with pytest.raises(ImproperlyConfigured) as error:
        read_settings()

    assert str(error.value).startswith(f"{name} ")
    assert SECRET not in "".join(traceback.format_exception(error.value))


def test_every_setting_of_the_example_has_a_wrong_value_here() -> None:
    any_text_is_right = {"WAITING_ROOM_SKUS"}
    of_others = {"TRANSFER_ACCOUNT_HOLDER", "POSTGRES_PASSWORD", "SANDBOX_DATABASE_URL"}  # a test below; not the shop's
    tried = {name for name, _ in (*WRONG, *WRONG_SECRETS)}
    assert read_example(uncommented=True).keys() - tried - any_text_is_right - of_others == set()


@pytest.mark.parametrize("key", ["hunter2" * 7, "a" * 60, "django-insecure-" + "hunter2" * 7])
def test_a_weak_secret_key_is_taken_by_a_local_shop_alone(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("SECRET_KEY", key)
    assert read_settings()["SECRET_KEY"] == key
    monkeypatch.setenv("ORDERLY_LOCAL", "0")
    monkeypatch.setenv("ALLOWED_HOSTS", "shop.example.com")

    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY is a random string of 50") as error:
        read_settings()

    assert key not in str(error.value)


@pytest.mark.parametrize("name", ["SECRET_KEY", "DATABASE_URL", "REDIS_URL", "STRIPE_API_KEY", "ALLOWED_HOSTS"])
def test_what_is_needed_and_missing_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv("BROKER_URL", raising=False)
    monkeypatch.setenv("ORDERLY_LOCAL", "0")
    monkeypatch.setenv("ALLOWED_HOSTS", "shop.example.com")
    monkeypatch.delenv(name)

    with pytest.raises(ImproperlyConfigured, match=f"{name} is not set"):
        read_settings()


@pytest.mark.parametrize("name", ["TRANSFER_ACCOUNT_HOLDER", "TRANSFER_ACCOUNT"])
def test_what_a_shop_that_takes_transfers_needs_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    transfers = {
        "PAYMENT_GATEWAYS": "manual=payments.manual.ManualGateway",
        "TRANSFER_ACCOUNT_HOLDER": "Tea Shop Ltd",
        "TRANSFER_ACCOUNT": "GB33 BUKB 2020 1555 5555 55",
        "STRIPE_API_KEY": "",  # such a shop needs none
    }
    for setting, value in transfers.items():
        monkeypatch.setenv(setting, value)
    assert read_settings()["CHECKOUT_GATEWAYS"] == ["manual"]
    monkeypatch.delenv(name)

    with pytest.raises(ImproperlyConfigured, match=f"{name} is not set"):
        read_settings()


def test_any_host_is_allowed_only_where_links_do_not_follow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "*")
    with pytest.raises(ImproperlyConfigured, match="ALLOWED_HOSTS may be \\* only where SHOP_URL is set"):
        read_settings()

    monkeypatch.setenv("SHOP_URL", "https://shop.example.com/")

    assert (read_settings()["ALLOWED_HOSTS"], read_settings()["SHOP_URL"]) == (["*"], "https://shop.example.com")


def read_example(*, uncommented: bool) -> dict[str, str]:
    """What .env.example sets, or would set once its lines are uncommented."""
    text = (BASE_DIR / ".env.example").read_text()
    return dict(re.findall(rf"^{'#?' if uncommented else ''}([A-Z_]+)=(.*)$", text, re.MULTILINE))


def test_the_example_sets_nothing_so_a_copy_of_it_changes_nothing() -> None:
    assert read_example(uncommented=False) == {}


def test_every_value_of_the_example_is_a_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = {"SECRET_KEY": "0123456789" * 5, "STRIPE_API_KEY": "sk_live_0"}  # the example leaves these open
    example = read_example(uncommented=True)
    for name, value in {"ORDERLY_LOCAL": "0", **example, **needed}.items():
        monkeypatch.setenv(name, value)

    values = read_settings()

    assert needed.keys() < example.keys()
    assert (values["DATABASES"]["default"]["NAME"], values["MAIL_DOMAIN"]) == ("orderly", "example.com")
    assert values["DEFAULT_FROM_EMAIL"] == "Tea Shop <shop@example.com>"
    assert values["STAFF_EMAILS"] == ["money@example.com"]


def test_every_setting_is_in_the_example() -> None:
    sources = "".join(file.read_text() for file in (BASE_DIR / "config").glob("*settings.py"))
    read = set(re.findall(r'read_\w+\(\s*"([A-Z_]+)"', sources))
    ours = {
        "ORDERLY_LOCAL",
        "DEBUG",
        "BROKER_TIMEOUT",
        "STRIPE_API_BASE",
        "STRIPE_JS_URL",
        "STATIC_ROOT",
    }

    assert read - ours == read_example(uncommented=True).keys() - {"POSTGRES_PASSWORD", "SANDBOX_DATABASE_URL"}


@pytest.mark.parametrize(
    ("sender", "domain"),
    [
        ("shop@localhost", "localhost"),
        ("Tea Shop <shop@example.com>", "example.com"),
        ('"Tea, Shop" <shop@example.com>', "example.com"),
        ("Thé <shop@mail.example.com>", "mail.example.com"),
    ],
)
def test_the_domain_of_message_ids_is_that_of_the_senders_address(
    monkeypatch: pytest.MonkeyPatch, sender: str, domain: str
) -> None:
    monkeypatch.setenv("DEFAULT_FROM_EMAIL", sender)

    values = read_settings()

    assert (values["DEFAULT_FROM_EMAIL"], values["MAIL_DOMAIN"]) == (sender, domain)


def test_a_database_may_have_several_hosts_options_and_a_password_of_any_characters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://ann:$p%40ss%23@one:5432,two:5433/orderly?sslmode=require")

    database = read_settings()["DATABASES"]["default"]

    assert (database["NAME"], database["PASSWORD"]) == ("orderly", "$p@ss#")
    assert (database["HOST"], database["PORT"]) == ("one,two", "5432,5433")
    assert (database["OPTIONS"]["sslmode"], database["OPTIONS"]["connect_timeout"]) == ("require", 5)


def test_messages_go_through_redis_unless_another_broker_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "rediss://:secret@host/3")
    monkeypatch.delenv("BROKER_URL", raising=False)
    assert read_settings()["BROKER_URL"] == "rediss://:secret@host/3"

    monkeypatch.setenv("BROKER_URL", "amqps://ann:p%40ss@one,two:5673/shop")
    assert read_settings()["BROKER_URL"] == "amqps://ann:p%40ss@one,two:5673/shop"
    assert read_settings()["REDIS_URL"] == "rediss://:secret@host/3"


def test_a_shop_with_another_broker_may_do_without_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_URL", "amqp://ann:secret@host//")
    monkeypatch.delenv("REDIS_URL")

    values = read_settings()

    assert values["REDIS_URL"] == ""
    assert values["CACHES"]["default"]["BACKEND"].endswith("DummyCache")


def test_the_cache_finds_its_redis_by_the_sentinels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "sentinel://:p%40ss@one,[::1]:26380/shop/2?sentinel_password=hunter2")

    cache = read_settings()["CACHES"]["default"]

    assert cache["LOCATION"] == "redis://:p%40ss@shop/2"
    assert cache["OPTIONS"]["SENTINELS"] == [("one", 26379), ("::1", 26380)]
    assert cache["OPTIONS"]["SENTINEL_KWARGS"]["password"] == "hunter2"


def test_rabbitmq_may_have_an_ipv6_address_beside_other_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "amqp://ann:p%40ss@one,[::1]:5673/shop"
    monkeypatch.setenv("BROKER_URL", url)
    assert read_settings()["BROKER_URL"] == url

    monkeypatch.setenv("BROKER_URL", f"{url}?ssl=1")
    with pytest.raises(ImproperlyConfigured, match="BROKER_URL is like"):
        read_settings()


def test_a_pooler_of_transactions_needs_a_way_past_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(read_settings()["DATABASES"]) == ["default"]
    monkeypatch.setenv("DATABASE_POOLER", "transaction")
    monkeypatch.delenv("DATABASE_DIRECT_URL")
    with pytest.raises(ImproperlyConfigured, match="DATABASE_DIRECT_URL is not set"):
        read_settings()

    monkeypatch.setenv("DATABASE_DIRECT_URL", "postgres://ann:secret@two:5433/orderly")

    values = read_settings()
    assert (values["DATABASES"]["direct"]["HOST"], values["SESSION_DATABASE"]) == ("two", "direct")


@pytest.mark.parametrize("value", ["abc", "-1"])
def test_manage_says_what_is_wrong_in_one_line(value: str) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=BASE_DIR,
        env={**os.environ, "SWEEP_EVERY": value},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr == f"SWEEP_EVERY is a number of seconds, more than 0 and at most 1000000000; not {value!r}.\n"


@pytest.mark.parametrize(
    ("timeout", "sweep_after", "right"), [("3", "4", True), ("3", "3.9", False), ("30", "20", False)]
)
def test_an_order_is_not_swept_while_its_charge_may_still_be_answered(
    monkeypatch: pytest.MonkeyPatch, timeout: str, sweep_after: str, right: bool
) -> None:
    monkeypatch.setenv("STRIPE_TIMEOUT", timeout)
    monkeypatch.setenv("SWEEP_AFTER", sweep_after)

    with nullcontext() if right else pytest.raises(ImproperlyConfigured, match=f"not {sweep_after} beside {timeout}"):
        read_settings()


def test_a_limit_that_is_left_out_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHECKOUT_LIMITS")
    defaults = read_settings()["CHECKOUT_LIMITS"]

    monkeypatch.setenv("CHECKOUT_LIMITS", "session=7, ip=0")

    assert read_settings()["CHECKOUT_LIMITS"] == {**defaults, "session": 7, "ip": 0}


def test_payment_methods_have_titles_with_any_characters_but_a_semicolon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PAYMENT_METHODS", "card = By card, at once; transfer=By transfer (a=b);")
    assert read_settings()["SHOP_PAYMENT_METHODS"] == [("card", "By card, at once"), ("transfer", "By transfer (a=b)")]

    monkeypatch.delenv("SHOP_PAYMENT_METHODS")
    assert read_settings()["SHOP_PAYMENT_METHODS"] == []


@pytest.mark.parametrize(
    ("url", "backend", "options"),
    [
        ("consolemail://", "console", {}),
        ("smtp://mail.example.com", "smtp", {"host": "mail.example.com", "timeout": 10}),
        (
            "smtp+tls://ann:p%40ss@mail.example.com:587",
            "smtp",
            {
                "host": "mail.example.com",
                "port": 587,
                "username": "ann",
                "password": "p@ss",
                "use_tls": True,
                "timeout": 10,
            },
        ),
    ],
)
def test_a_mail_server_is_described_to_django_by_either_names(
    monkeypatch: pytest.MonkeyPatch, url: str, backend: str, options: dict[str, object]
) -> None:
    monkeypatch.setenv("EMAIL_URL", url)
    values = read_settings()

    mailer = {"BACKEND": f"django.core.mail.backends.{backend}.EmailBackend", "OPTIONS": options}
    assert values["MAILER"] == mailer
    if django.VERSION >= (6, 1):
        assert values["MAILERS"] == {"default": mailer}
    else:
        assert values["EMAIL_BACKEND"] == mailer["BACKEND"]
        names = {"host": "localhost", "port": 25, "username": "", "password": "", "use_tls": False, "use_ssl": False}
        for option, default in names.items():
            old = {"username": "EMAIL_HOST_USER", "password": "EMAIL_HOST_PASSWORD"}.get(option, f"EMAIL_{option}")
            assert values[old.upper()] == options.get(option, default)


def test_trusted_proxies_are_addresses_and_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8,")

    values = read_settings()

    assert values["TRUSTED_PROXIES"] == [ip_network("127.0.0.1"), ip_network("10.0.0.0/8")]
    assert values["SECURE_PROXY_SSL_HEADER"] == ("HTTP_X_FORWARDED_PROTO", "https")


def test_the_skus_of_waiting_rooms_are_read_as_the_catalogue_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAITING_ROOM_SKUS", "cafe\u0301, MUG 2")

    assert read_settings()["WAITING_ROOM_SKUS"] == ["caf\u00e9", "MUG 2"]
