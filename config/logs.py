"""How a line of the log looks: JSON for programs, or words and fields for people. It is one line, without secrets."""

import json
import logging
import re
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any

import structlog
from structlog.contextvars import get_contextvars

from config.redaction import redact

Fields = MutableMapping[str, Any]

# Whose request or task it is that writes the line, in codes of ours. Tracing adds the trace, where a shop has it.
SOURCES: list[Callable[[], Mapping[str, Any]]] = [get_contextvars]
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # a line's end, and what a terminal obeys
PLAIN = re.compile(r"[^\s\"'=\\]+")


class Formatter(logging.Formatter):
    """The formatter of every line, whoever writes it: ours, Django's, Celery's, gunicorn's. `form`: json or line."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.write = {"json": write_json, "line": write_line}[form]

    def format(self, record: logging.LogRecord) -> str:
        """Whatever is in the record, this raises nothing: an order is worth more than a line about it."""
        try:
            return self.write(collect_fields(record))
        except Exception as error:  # logging itself would print it, with all that it should not say
            return self.write(describe_unwritten(record, error))


def configure_structlog() -> None:
    """Have structlog's loggers write through logging, which then knows each line's fields as `record.fields`."""
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, hand_over],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def hand_over(_logger: Any, _method: str, fields: Fields) -> dict[str, Any]:
    """What logging is called with."""
    words, exc_info = fields.pop("event"), fields.pop("exc_info", None)
    return {"msg": words, "exc_info": exc_info, "extra": {"fields": dict(fields)}}


def describe_unwritten(record: logging.LogRecord, error: Exception) -> Fields:
    said = {"event": "a line could not be written", "by": f"{record.pathname}:{record.lineno}"}
    return {**begin(record), **said, "reason": type(error).__name__}


def collect_fields(record: logging.LogRecord) -> Fields:
    said = {"event": record.getMessage(), **getattr(record, "fields", {})}
    if record.exc_info:
        said["exception"] = "".join(traceback.format_exception(*record.exc_info)).rstrip()
    fields = {**begin(record), **redact(said)}
    for source in SOURCES:
        for name, value in sorted(source().items()):  # context variables come in any order
            fields.setdefault(name, value)  # its own is the nearer one
    return fields


def begin(record: logging.LogRecord) -> Fields:
    time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return {"time": time, "level": record.levelname, "logger": record.name}


def write_json(fields: Fields) -> str:
    return json.dumps(fields, default=str)


def write_line(fields: Fields) -> str:
    """The traceback follows, indented: nothing but a line of ours begins at the margin."""
    start = [str(fields.pop(name)) for name in ("time", "level", "logger", "event")]
    exception = str(fields.pop("exception", ""))
    words = [escape(" ".join(start)), *(f"{name}={quote(value)}" for name, value in fields.items())]
    below = ["    " + escape(line) for line in exception.splitlines()]
    return "\n".join([" ".join(words), *below])


def quote(value: Any) -> str:
    text = str(value)
    return text if PLAIN.fullmatch(text) else escape(json.dumps(text, ensure_ascii=False))


def escape(text: str) -> str:
    return CONTROL.sub(lambda found: repr(found[0])[1:-1], text)
