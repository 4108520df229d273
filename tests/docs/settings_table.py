"""The table of settings: what config/ reads from the environment, in the words of .env.example."""

import ast
import re
from collections.abc import Iterator

from lab.stack.var import BASE_DIR

EXAMPLE = BASE_DIR / ".env.example"
ASSIGNED = re.compile(r"#([A-Z][A-Z_0-9]+)=")
NAMED = re.compile(r"(?:^|(?<= ))([A-Z][A-Z_0-9]+): ")  # a comment tells of several settings, one after the other
KINDS = {
    "read_bool": "1 or 0",
    "read_folder": "an absolute path",
    "read_number": "a whole number",
    "read_seconds": "seconds",
    "read_limits": "a number for each kind",
    "read_networks": "networks, with commas between",
    "read_apps": "words, with commas between",
    "read_words": "words, with commas between",
    "read_hosts": "host names, with commas between",
    "read_origins": "origins, with commas between",
    "read_recipients": "addresses, with commas between",
    "read_choices": "names, with commas between",
    "read_currency": "an ISO 4217 code",
    "read_site_url": "an address",
    "read_broker_url": "an address",
    "read_redis_url": "an address",
    "read_database": "an address",
    "read_direct_database": "an address",
    "read_mailer": "an address",
    "read_service_url": "an address",
    "read_contact": "an email address",
    "read_links": "titles and addresses, with semicolons between",
    "read_titles": "words and titles, with semicolons between",
    "read_label": "a line of text",
    "read_time_zone": "a time zone by its name",
    "read_path": "a path of the shop",
    "read_skus": "SKUs, with commas between",
}
# What shops in production leave alone: the stack on this machine sets it, or the tests.
INTERNAL = {
    "ORDERLY_LOCAL": "a shop on this machine, without HTTPS; `make run` sets it",
    "DEBUG": "Django's own; an error of `manage.py check` outside a local shop",
    "BROKER_TIMEOUT": "how long a process waits for the broker",
    "STRIPE_API_BASE": "where the sandbox stands in for Stripe; empty: Stripe itself",
    "STRIPE_JS_URL": "the same for the script of the card form",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "how long one export of traces may take; other variables of OpenTelemetry hold, too",
    "STATIC_ROOT": "where `collectstatic` puts files; the default is `var/static`",
}


def find_calls() -> dict[str, ast.Call]:
    """By the name of each setting, the call in config/ that reads it."""
    trees = [ast.parse(path.read_text()) for path in sorted((BASE_DIR / "config").rglob("*.py"))]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    return {
        str(call.args[0].value): call
        for call in calls
        if isinstance(call.func, ast.Name)
        and call.func.id.startswith("read_")
        and isinstance(call.args[0], ast.Constant)
    }


def read_example() -> dict[str, str]:
    """What .env.example says of each setting. One of several that share a comment is told of in its first row."""
    words: dict[str, str] = {}
    comment: list[str] = []
    is_over = False
    for line in EXAMPLE.read_text().splitlines():
        if assigned := ASSIGNED.match(line):
            words[assigned[1]] = describe(assigned[1], " ".join(comment), is_first=not is_over)
            is_over = True
        else:
            comment = [] if is_over or not line else comment
            comment += [line.lstrip("# ")] if line else []
            is_over = False
    return words


def describe(name: str, comment: str, *, is_first: bool) -> str:
    """The part of the comment that begins with the name; of a comment that names none, all of it."""
    parts = NAMED.split(comment)
    named = dict(zip(parts[1::2], parts[2::2], strict=True))
    return named.get(name, parts[0] if is_first else "").strip()


def find_default(call: ast.Call | None) -> str:
    """The default, where it is a constant or is calculated of constants."""
    if call is None:
        return ""
    given = [*call.args[1:2], *(word.value for word in call.keywords if word.arg == "default")]
    if all(isinstance(word.value, ast.Constant) for word in call.keywords) and ast.unparse(call.func) == "read_limits":
        return "`" + ",".join(f"{word.arg}={ast.unparse(word.value)}" for word in call.keywords) + "`"
    try:
        value = str(eval(ast.unparse(given[0]), {"__builtins__": {}}))  # noqa: S307
    except (IndexError, NameError):
        return ""
    return f"`{value}`" if value else ""


def find_kind(call: ast.Call | None) -> str:
    """What is read, with its limits."""
    if call is None:
        return ""
    kind = KINDS.get(ast.unparse(call.func), "")
    limits = {str(word.arg): ast.unparse(word.value) for word in call.keywords if word.arg in ("least", "most")}
    words = [f"at {name} {limit}" for name, limit in limits.items() if limit.isdigit()]
    return ", ".join([kind, *words] if kind else words)


def list_settings() -> Iterator[list[str]]:
    calls = find_calls()
    for name, words in read_example().items():
        call = calls.get(name)
        yield [f"`{name}`", find_kind(call), find_default(call), words.replace("|", "\\|")]


def list_internal() -> Iterator[list[str]]:
    calls = find_calls()
    for name, words in INTERNAL.items():
        yield [f"`{name}`", find_kind(calls[name]), words]
