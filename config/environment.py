"""Reads the settings from the environment; one that is missing or wrong is an error at start that names it."""

from ipaddress import IPv4Network, IPv6Network, ip_network

import environ
from django.core.exceptions import ImproperlyConfigured

from config.var import BASE_DIR

env = environ.Env()
env.read_env(BASE_DIR / ".env")


def read_required(name: str, hint: str) -> str:
    value: str = env.str(name, default="")
    if not value:
        raise ImproperlyConfigured(f"{name} is not set: {hint}. `make run` sets it for you; see .env.example.")
    return value


def read_number(name: str, default: int, *, least: int) -> int:
    try:
        value: int = env.int(name, default=default)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is a whole number; not {env.str(name)!r}.") from error
    if value < least:
        raise ImproperlyConfigured(f"{name} is at least {least}; not {value}.")
    return value


def read_list(name: str) -> list[str]:
    return [value.strip() for value in env.list(name, default=[]) if value.strip()]


def read_networks(name: str) -> list[IPv4Network | IPv6Network]:
    try:
        return [ip_network(network) for network in read_list(name)]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} has networks such as 10.0.0.0/8: {error}.") from error


def read_limits(name: str, **defaults: int) -> dict[str, int]:
    """How many by which kind, such as session=10,ip=60; what is left out has its default."""
    example = ",".join(f"{kind}={most}" for kind, most in defaults.items())
    try:
        given = {kind.strip(): int(most) for kind, most in env.dict(name, default={}).items()}
        if not given.keys() <= defaults.keys() or any(most < 0 for most in given.values()):
            raise ValueError("an unknown kind, or a negative number")
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is like {example}; not {env.str(name)!r}.") from error
    return defaults | given
