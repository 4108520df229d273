"""Traces each order, from its request through its tasks, for a collector that speaks OTLP. Needs the extra `otel`."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from celery import Task
from celery.signals import before_task_publish, task_failure, task_postrun, task_prerun
from django.conf import settings
from django.core.signals import request_started
from django.db.backends.signals import connection_created
from django.http import HttpRequest, HttpResponse
from opentelemetry import trace
from opentelemetry.context import Context, attach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.propagate import extract, inject
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from structlog.contextvars import get_contextvars

from config.environment import read_seconds
from config.logs import SOURCES
from config.query_spans import trace_statements
from config.redaction import redact
from config.refusals import REFUSALS
from spans import trace_with

TIMEOUT = 3  # seconds for one export, and so for how much later a process ends whose collector is away
UNTRACED = "healthz,readyz,metrics"
HEADERS = ("traceparent", "tracestate")

tracer = trace.get_tracer("orderly")
running: dict[str, Any] = {}  # by the task's id: its span, and what ends it


class RedactingExporter(SpanExporter):
    """Sends what it is given without what no report may have. Links are of no text, and go as they are."""

    def __init__(self, inner: SpanExporter) -> None:
        self.inner = inner

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self.inner.export([redact_span(span) for span in spans])

    def shutdown(self) -> None:
        self.inner.shutdown()


def start_tracing() -> None:
    """Trace this process and those that it forks: the SDK starts its thread anew in each."""
    os.environ.setdefault("OTEL_PYTHON_DJANGO_EXCLUDED_URLS", UNTRACED)
    name = os.environ.get("OTEL_SERVICE_NAME", "orderly")
    provider = TracerProvider(resource=Resource.create({"service.name": name, "service.version": settings.VERSION}))
    timeout = read_seconds("OTEL_EXPORTER_OTLP_TIMEOUT", TIMEOUT)
    provider.add_span_processor(BatchSpanProcessor(RedactingExporter(OTLPSpanExporter(timeout=timeout))))
    trace.set_tracer_provider(provider)
    DjangoInstrumentor().instrument(response_hook=describe_request)
    SOURCES.append(name_trace)
    trace_with(open_span)
    connection_created.connect(trace_statements)
    request_started.connect(forget_last_trace)
    before_task_publish.connect(pass_trace_on)
    task_prerun.connect(begin_task)
    task_failure.connect(note_failure)
    task_postrun.connect(end_task)


def describe_request(span: Span, _request: HttpRequest, _response: HttpResponse) -> None:
    if span and span.is_recording():
        span.set_attributes(get_contextvars())  # the request's id, and the order's code


def name_trace() -> Mapping[str, str]:
    """What a line of the log says of the trace that it belongs to."""
    context = trace.get_current_span().get_span_context()
    return {"trace_id": format(context.trace_id, "032x")} if context.is_valid else {}


@contextmanager
def open_span(name: str, fields: Mapping[str, Any]) -> Iterator[Span]:
    with tracer.start_as_current_span(
        name, attributes=fields, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except REFUSALS as refusal:
            span.set_attribute("outcome", type(refusal).__name__)
            raise
        except Exception as error:
            note_error(span, error)
            raise


def note_error(span: Span, error: BaseException) -> None:
    span.record_exception(error)
    span.set_status(Status(StatusCode.ERROR, type(error).__name__))


def forget_last_trace(**_: Any) -> None:
    attach(Context())


def pass_trace_on(headers: dict[str, Any], **_: Any) -> None:
    """A worker that does not trace reads past these headers: see config/task_context.py."""
    inject(headers)


def begin_task(task_id: str, task: "Task[..., Any]", **_: Any) -> None:
    """The task's span is named by what it does: charge_payment. It follows whoever published it."""
    carrier = {name: value for name in HEADERS if (value := getattr(task.request, name, None))}
    context = extract(carrier, context=Context())
    verb = task.name.rpartition(".")[2]
    opened = tracer.start_as_current_span(verb, context, SpanKind.CONSUMER, attributes=get_contextvars())
    running[task_id] = (opened.__enter__(), opened)


def note_failure(task_id: str, exception: BaseException, **_: Any) -> None:
    if task_id in running:
        note_error(running[task_id][0], exception)


def end_task(task_id: str, **_: Any) -> None:
    if task_id in running:
        _span, opened = running.pop(task_id)
        opened.__exit__(None, None, None)


def redact_span(span: ReadableSpan) -> ReadableSpan:
    """A copy of a span that has ended."""
    return ReadableSpan(
        span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=redact(dict(span.attributes or {})),
        events=[Event(event.name, redact(dict(event.attributes or {})), event.timestamp) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
