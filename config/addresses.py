"""Reads the settings that are addresses. Some have passwords in them, so most errors do not repeat the value."""

import re
from collections.abc import Sequence
from email.utils import getaddresses
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy
from environ import Env

from config.environment import has_module, read_list, read_pairs, read_required, read_text
from config.sentinel import parse_service, split_hosts

DATABASE = "postgres://user:password@host:port/name"
REDIS = "redis://:password@host:port/0"
SENTINEL = "sentinel://:password@one:26379,two:26379/SERVICE/0"
BROKER = f"{REDIS}, {SENTINEL} or amqp://user:password@host:5672/vhost; rediss:// and amqps:// have TLS"
CLUSTER = re.compile(r"redis(s)?[+-]?cluster|redis(s)?\+srv|cluster")
EMAIL = "smtp+tls://user:password@host:587, smtp+ssl://..., smtp://... or consolemail://"
MAILER_OPTIONS = {  # of Django's backends, by what django-environ calls them
    "host": "EMAIL_HOST",
    "port": "EMAIL_PORT",
    "username": "EMAIL_HOST_USER",
    "password": "EMAIL_HOST_PASSWORD",
    "use_tls": "EMAIL_USE_TLS",
    "use_ssl": "EMAIL_USE_SSL",
    "file_path": "EMAIL_FILE_PATH",
}
HOST = re.compile(r"\.?[a-z0-9-]+(\.[a-z0-9-]+)*\.?|\[[0-9a-f:.]+\]|\*", re.IGNORECASE)
LINK = re.compile(r"(https?://[^\s\"<>]+|/[^\s\"<>/][^\s\"<>]*)")  # elsewhere, or of this shop
SITE = re.compile(r"([a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(:\d+)?", re.IGNORECASE)


def read_database(name: str) -> dict[str, Any]:
    """Django's description of the PostgreSQL database that the URL names."""
    return check_database_url(name, read_required(name, DATABASE))


def read_direct_database(name: str, *, needed: bool) -> dict[str, Any] | None:
    """The same database past its pooler. It is needed where there is one, and ignored elsewhere."""
    return check_database_url(name, read_required(name, f"past the pooler, {DATABASE}")) if needed else None


def check_database_url(name: str, url: str) -> dict[str, Any]:
    try:
        if url.partition("://")[0] not in ("postgres", "postgresql"):
            raise ValueError("another database")
        database: dict[str, Any] = Env.db_url_config(url)
        if not database["NAME"]:
            raise ValueError("no name")
    except (ValueError, TypeError):
        raise ImproperlyConfigured(f"{name} is like {DATABASE}; special characters of the password as %23.") from None
    return database


def read_redis_url(name: str, *, broker: str) -> str:
    """The Redis that counts the limits, or its sentinels. It may be missing, and is empty then, if `broker` is set."""
    url = read_text(name) if read_text(broker) else read_required(name, REDIS)
    return check_redis_url(name, url) if url else ""


def check_redis_url(name: str, url: str) -> str:
    refuse_cluster(name, url)
    if not (is_redis(url) or is_sentinel(url)):
        raise ImproperlyConfigured(f"{name} is like {REDIS}, rediss:// with TLS, or {SENTINEL}.")
    return url


def read_broker_url(name: str, *, default: str) -> str:
    return check_broker_url(name, read_text(name) or default)


def check_broker_url(name: str, url: str) -> str:
    refuse_cluster(name, url)
    if not (is_redis(url) or is_sentinel(url) or is_rabbitmq(url)):
        raise ImproperlyConfigured(f"{name} is like {BROKER}.")
    return url


def refuse_cluster(name: str, url: str) -> None:
    if CLUSTER.fullmatch(url.partition("://")[0]):
        raise ImproperlyConfigured(f"{name} names a Redis Cluster, which Celery can't use as its broker: use {BROKER}.")


def is_redis(url: str) -> bool:
    parts = _split(url)
    return bool(parts and parts.scheme in ("redis", "rediss") and re.fullmatch(r"(/\d*)?", parts.path))


def is_sentinel(url: str) -> bool:
    try:
        parse_service(url)
        return _have_hosts(url, "sentinel")
    except ValueError:
        return False


def is_rabbitmq(url: str) -> bool:
    try:
        return _have_hosts(url, "amqp", "amqps") and not any(urlsplit(one).query for one in split_hosts(url))
    except ValueError:
        return False


def _have_hosts(url: str, *schemes: str) -> bool:
    """Whether each of the URL's hosts is one. Raises ValueError where it is no URL."""
    parts = [_split(one) for one in split_hosts(url)]
    return all(part and part.scheme in schemes for part in parts)


def read_service_url(name: str, *, example: str, form: str, package: str, extra: str) -> str:
    """Where a service is told something, by a package that is an extra. It is empty if it is not set."""
    url = read_text(name)
    if url and not re.fullmatch(form, url):
        raise ImproperlyConfigured(f"{name} is like {example}.")
    if url and not has_module(f"{package}.any"):
        raise ImproperlyConfigured(f"{name} needs packages that are not installed: uv sync --extra {extra}.")
    return url


def read_site_url(name: str) -> str:
    """The URL of a site, without a slash at its end. It is empty if it is not set."""
    url = read_text(name).rstrip("/")
    parts = _split(url)
    if url and not (parts and _is_site(parts)):
        raise ImproperlyConfigured(f"{name} is like https://shop.example.com, without a password or a question mark.")
    return url


def read_origins(name: str) -> list[str]:
    origins = read_list(name)
    for origin in origins:
        parts = _split(origin.replace("://*.", "://"))
        if not (parts and _is_site(parts) and not parts.path):
            raise ImproperlyConfigured(f"{name} are like https://shop.example.com or https://*.example.com.")
    return origins


def read_hosts(name: str, *, default: Sequence[str]) -> list[str]:
    hosts = read_list(name) or list(default)
    if not hosts:
        raise ImproperlyConfigured(f"{name} is not set: the shop's names, such as shop.example.com; see .env.example.")
    for host in hosts:
        if not HOST.fullmatch(host):
            raise ImproperlyConfigured(f"{name} has names alone, such as shop.example.com; not {host!r}.")
    return hosts


def read_path(name: str, default: str) -> str:
    """Where something of our own is served: a path of this shop, with a slash at its end."""
    value = read_text(name) or default
    if not re.fullmatch(r"/?([\w.-]+/)+", value):
        raise ImproperlyConfigured(
            f"{name} is a path of the shop with a slash at its end, such as /media/; not {value!r}."
        )
    return value


def read_links(name: str) -> list[tuple[Promise, str]]:
    """Titles and addresses, such as Terms=https://shop.example.com/terms; titles are translated where shown."""
    links = read_pairs(name)
    if not all(title and LINK.fullmatch(url) for title, url in links):
        raise ImproperlyConfigured(
            f"{name} is like Terms=https://example.com/terms; About us=/about/; not {read_text(name)!r}."
        )
    return [(gettext_lazy(title), url) for title, url in links]


def read_mailer(name: str, default: str, *, timeout: float) -> dict[str, Any]:
    """The mail server that the URL names, as an entry of Django's MAILERS."""
    try:
        given: dict[str, Any] = Env.email_url_config(read_text(name, default))
    except (ImproperlyConfigured, ValueError, TypeError):
        given = {}
    if not given or ("smtp" in given["EMAIL_BACKEND"] and not given["EMAIL_HOST"]):
        raise ImproperlyConfigured(f"{name} is like {EMAIL}.")
    options = {option: given[key] for option, key in MAILER_OPTIONS.items() if given.get(key)}
    if "smtp" in given["EMAIL_BACKEND"]:
        options["timeout"] = timeout
    return {"BACKEND": given["EMAIL_BACKEND"], "OPTIONS": options}


def read_contact(name: str) -> str:
    """An email address that customers may write to, or nothing."""
    value = read_text(name)
    try:
        if value:
            validate_email(value)
    except ValidationError:
        raise ImproperlyConfigured(f"{name} is an email address, such as help@example.com; not {value!r}.") from None
    return value


def read_recipients(name: str) -> list[str]:
    """Addresses of mailboxes, with commas between; none by default."""
    addresses = read_list(name)
    try:
        for address in addresses:
            validate_email(address)
    except ValidationError:
        raise ImproperlyConfigured(f"{name} are addresses with commas between; not {read_text(name, '')!r}.") from None
    return addresses


def read_sender(name: str, default: str) -> tuple[str, str]:
    """The sender of mails, with or without a name, and the domain of its address."""
    value = read_text(name, default)
    addresses = [address for _, address in getaddresses([value])]
    try:
        if len(addresses) != 1 or not value.isprintable() or not addresses[0].isascii():
            raise ValidationError("not one address")
        validate_email(addresses[0])
    except ValidationError:
        raise ImproperlyConfigured(
            f"{name} is one address in ASCII, such as shop@example.com or Tea Shop <shop@example.com>; not {value!r}."
        ) from None
    return value, addresses[0].rpartition("@")[2]


def _split(url: str) -> SplitResult | None:
    """The parts of the URL; None if it names no host, or is no URL."""
    try:
        parts = urlsplit(url)
        port = parts.port  # raises ValueError where it is no number
    except ValueError:
        return None
    is_host = parts.hostname and "," not in parts.hostname
    return parts if is_host and port != 0 and url.isprintable() and " " not in url else None


def _is_site(parts: SplitResult) -> bool:
    bare = not (parts.query or parts.fragment or "@" in parts.netloc)
    return parts.scheme in ("http", "https") and bare and SITE.fullmatch(parts.netloc) is not None
