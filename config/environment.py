"""Reads settings from the environment. A value that is missing or wrong is an error at start that names the setting."""

import math
import os
import re
from collections.abc import Collection
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from unicodedata import normalize
from zoneinfo import available_timezones

from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from money.currencies import is_currency

YES, NO = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}
NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
IBAN = re.compile(r"([A-Z]{2}\d{2})([A-Z0-9]{11,30})")  # the country with its check digits, and the account there
MOST = 1_000_000_000  # PostgreSQL and timedelta can take it, and nobody waits that long


def read_text(name: str, default: str = "") -> str:
    return os.environ.get(name, default).strip()


def read_required(name: str, hint: str) -> str:
    value = read_text(name)
    if not value or value.endswith("..."):  # as .env.example has it
        raise ImproperlyConfigured(f"{name} is not set: {hint}. `make run` sets it while it runs; see .env.example.")
    return value


def read_secret_key(name: str, *, local: bool) -> str:
    """The key that signs sessions and links. Only a LOCAL shop may have a weaker one than security.W009 asks for."""
    value = read_required(name, "a long random string, the same for every process")
    if not local and (len(value) < 50 or len(set(value)) < 5 or value.startswith("django-insecure-")):
        raise ImproperlyConfigured(f"{name} is a random string of 50 characters or more.")
    return value


def read_api_key(name: str, *, needed: bool = True) -> str:
    """The provider's secret key. The publishable one, which lies beside it, is refused: it can take no money."""
    value = read_required(name, "the secret key of the account that takes the money") if needed else read_text(name)
    if value.startswith("pk_"):
        raise ImproperlyConfigured(f"{name} is the secret key, which begins with sk_ or rk_; this one is publishable.")
    return value


def read_publishable_key(name: str) -> str:
    """The key that every browser is given. A secret one is refused, and not repeated."""
    value = read_text(name)
    if value and not re.fullmatch(r"pk_\w+", value):
        raise ImproperlyConfigured(f"{name} begins with pk_: every browser is given it, so no secret key may be there.")
    return value


def read_word(name: str) -> str:
    """A token, a key or a prefix. It may be secret, so an error does not repeat it."""
    value = read_text(name)
    if not is_word(value):
        raise ImproperlyConfigured(f"{name} is of printable ASCII characters, without spaces.")
    return value


def is_word(value: str) -> bool:
    return value.isascii() and value.isprintable() and " " not in value


def read_words(name: str) -> list[str]:
    values = read_list(name)
    if not all(map(is_word, values)):
        raise ImproperlyConfigured(f"{name} are of printable ASCII characters without spaces, and have commas between.")
    return values


def read_apps(name: str) -> list[str]:
    """Django apps, each by its package or by the class of its configuration."""
    apps = read_words(name)
    for app in apps:
        if not (has_module(f"{app}.") or has_module(app)):
            raise ImproperlyConfigured(f"{name} has Django apps that are on the Python path; {app!r} is not.")
    return apps


def read_skus(name: str) -> list[str]:
    """As the catalogue has them: in NFC, and of any characters but commas."""
    return [normalize("NFC", sku) for sku in read_list(name)]


def read_bool(name: str) -> bool:
    value = read_text(name)
    if value.lower() not in YES | NO:
        raise ImproperlyConfigured(f"{name} is 1 or 0; not {value!r}.")
    return value.lower() in YES


def read_choice(name: str, default: str, choices: Collection[str]) -> str:
    value = read_text(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name} is one of {', '.join(choices)}; not {value!r}.")
    return value


def read_choices(name: str, choices: Collection[str]) -> list[str]:
    """Some of the choices, in the order that is given; where none are given, all of them."""
    values = read_list(name) or list(choices)
    if not set(values) <= set(choices) or len(set(values)) < len(values):
        raise ImproperlyConfigured(f"{name} has some of {', '.join(choices)}, each once; not {read_text(name)!r}.")
    return values


def read_label(name: str, default: str = "", *, needed: bool = False) -> str:
    """One line of text that customers read. It is never empty where it is needed, or has a default."""
    hint = "customers who pay by bank transfer are told of it"
    value = read_required(name, hint) if needed else read_text(name) or default
    if not value.isprintable() or len(value) > 100:
        raise ImproperlyConfigured(f"{name} is one line of 100 characters at most; not {value!r}.")
    return value


def read_account(name: str, *, needed: bool) -> str:
    """An account number. An IBAN is checked by its two digits: money that is sent to a wrong one is hard to find."""
    value = read_label(name, needed=needed)
    if iban := IBAN.fullmatch(value.replace(" ", "")):
        digits = "".join(str(int(character, 36)) for character in iban[2] + iban[1])
        if int(digits) % 97 != 1:
            raise ImproperlyConfigured(f"{name} looks like an IBAN, but its check digits are wrong: {value!r}.")
    return value


def read_number(name: str, default: int, *, least: int, most: int = MOST) -> int:
    value = read_text(name, str(default))
    try:
        number = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is a whole number; not {value!r}.") from None
    if number < least:
        raise ImproperlyConfigured(f"{name} is at least {least}; not {value}.")
    if number > most:
        raise ImproperlyConfigured(f"{name} is at most {most}; not {value}.")
    return number


def read_seconds(name: str, default: float, *, most: float = MOST) -> float:
    value = read_text(name, str(default))
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= most:  # so is NaN
        raise ImproperlyConfigured(f"{name} is a number of seconds, more than 0 and at most {most:.0f}; not {value!r}.")
    return seconds


def read_folder(name: str, default: str = "") -> str:
    """The absolute path of a folder. Whether it is there is asked where it is used: not every process has it.

    It may be empty only where the default is.
    """
    value = read_text(name, default)
    if (value or default) and not Path(value).is_absolute():
        raise ImproperlyConfigured(f"{name} is the absolute path of a folder; not {value!r}.")
    return value


def read_time_zone(name: str, default: str) -> str:
    value = read_text(name, default)
    if value not in available_timezones():
        raise ImproperlyConfigured(f"{name} is a time zone by its name, such as UTC or Europe/London; not {value!r}.")
    return value


def read_currency(name: str, default: str) -> str:
    value = read_text(name, default)
    if not is_currency(value):
        raise ImproperlyConfigured(f"{name} is the ISO 4217 code of a currency, such as GBP or KRW; not {value!r}.")
    return value


def read_classes(name: str, default: str) -> dict[str, str]:
    """Classes by name, whose modules are there. The rest is checked when apps are ready: see payments/checks.py."""
    value = read_text(name, default)
    pairs = [pair.partition("=") for pair in value.split(",")]
    classes = {key.strip(): path.strip() for key, _, path in pairs}
    if not all(NAME.fullmatch(key) and has_module(path) for key, path in classes.items()):
        raise ImproperlyConfigured(f"{name} has names and dotted paths of classes, such as {default}; not {value!r}.")
    return classes


def has_module(path: str) -> bool:
    module = path.rpartition(".")[0]
    try:
        return bool(module and find_spec(module))
    except (ImportError, ValueError):
        return False


def read_list(name: str) -> list[str]:
    return [value.strip() for value in read_text(name).split(",") if value.strip()]


def read_networks(name: str) -> list[IPv4Network | IPv6Network]:
    try:
        return [ip_network(network) for network in read_list(name)]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} has networks such as 10.0.0.0/8: {error}.") from None


def read_pairs(name: str) -> list[tuple[str, str]]:
    """What stands before and behind each =, with semicolons between the pairs. Either may be empty."""
    pairs = [pair.partition("=") for pair in read_text(name).split(";") if pair.strip()]
    return [(before.strip(), behind.strip()) for before, _, behind in pairs]


def read_titles(name: str) -> list[tuple[str, Promise]]:
    """Words and their titles, such as card=By card; transfer=By bank transfer. Titles are translated where shown."""
    titles = read_pairs(name)
    if not all(word and is_word(word) and title for word, title in titles):
        raise ImproperlyConfigured(f"{name} is like card=By card; transfer=By bank transfer; not {read_text(name)!r}.")
    return [(word, gettext_lazy(title)) for word, title in titles]


def read_limits(name: str, **defaults: int) -> dict[str, int]:
    """A number for each kind, such as session=10,ip=60. A kind that is left out keeps its default."""
    example = ",".join(f"{kind}={most}" for kind, most in defaults.items())
    try:
        pairs = [pair.split("=") for pair in read_list(name)]
        given = {kind.strip(): int(most) for kind, most in pairs}
        if not given.keys() <= defaults.keys() or not all(0 <= most <= MOST for most in given.values()):
            raise ValueError("an unknown kind, or a number out of range")
    except ValueError:
        raise ImproperlyConfigured(f"{name} is like {example}; not {read_text(name)!r}.") from None
    return defaults | given
