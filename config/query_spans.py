"""A span for each statement of what is traced: its text, and none of its values."""

from collections.abc import Callable
from typing import Any

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from psycopg.pq import PipelineStatus

MOST = 2_000  # characters of a statement

tracer = trace.get_tracer("orderly.postgresql")


def trace_statements(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Receives Django's connection_created, which comes again each time that a connection is opened anew."""
    if run_traced not in connection.execute_wrappers:
        connection.execute_wrappers.append(run_traced)


def run_traced(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """A statement of a pipeline gets no span: it is sent later, so its time would be wrong."""
    session = context["connection"].connection
    is_sent_now = session is None or session.pgconn.pipeline_status == PipelineStatus.OFF
    if not (trace.get_current_span().is_recording() and is_sent_now and isinstance(sql, str)):
        return execute(sql, params, many, context)
    text = " ".join(sql.split())
    operation = text.partition(" ")[0].upper()
    told = {"db.system.name": "postgresql", "db.operation.name": operation, "db.query.text": text[:MOST]}
    with tracer.start_as_current_span(
        operation, kind=SpanKind.CLIENT, attributes=told, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            return execute(sql, params, many, context)
        except Error as error:
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))  # its text may have values in it
            raise
