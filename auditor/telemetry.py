"""Traces and metrics by OpenTelemetry, where the extra `otel` is installed and the environment names a collector.

    with telemetry.begin(os.environ, run_id) as told:
        with told.phase("collect"):
            ...

OTEL_EXPORTER_OTLP_ENDPOINT (or that of traces or metrics alone) turns it on, OTEL_SDK_DISABLED off; the SDK reads all
its other variables itself. Requests to Azure are spans of azure-core's own. Where nothing turns it on, nothing is
imported.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from auditor import __version__
from auditor.record import Record
from auditor.redaction import redact, without_secrets

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

logger = logging.getLogger(__name__)

_ENDPOINTS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)
_NAME = "auditor"


class Telemetry(Protocol):
    """Whoever is told of a run's parts and of its end."""

    def phase(self, name: str) -> AbstractContextManager[object]:
        """A part of the run while the context lasts."""

    def end(self, record: Record) -> None:
        """What came of it. Nothing is told afterwards."""


class Silent:
    """Nobody is told."""

    def phase(self, name: str) -> AbstractContextManager[object]:
        """Nothing."""
        return nullcontext()

    def end(self, record: Record) -> None:
        """Nothing."""


def begin(environ: Mapping[str, str], run_id: str) -> Telemetry:
    """The telemetry of a run that begins now; a collector without the SDK is a warning."""
    wanted = any(environ.get(name) for name in _ENDPOINTS)
    if not wanted or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return Silent()
    if not all(map(_installed, ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"))):
        logger.warning("a collector of telemetry is named, but not the means: pip install 'auditor[otel]'")
        return Silent()
    return OpenTelemetry(environ, run_id)


class OpenTelemetry:
    """One trace a run, a span a phase, and the figures of its record as metrics."""

    def __init__(self, environ: Mapping[str, str], run_id: str) -> None:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        own = {"service.version": __version__, "auditor.run_id": run_id}
        named = {} if environ.get("OTEL_SERVICE_NAME") else {"service.name": _NAME}
        resource = Resource.create(own | named)
        self._traces = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._traces.add_span_processor(BatchSpanProcessor(_redacting(OTLPSpanExporter())))
        reader = PeriodicExportingMetricReader(OTLPMetricExporter())
        self._metrics = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        trace.set_tracer_provider(self._traces)  # where azure-core looks for one
        os.environ.setdefault("AZURE_TRACING_ENABLED", "true")  # azure-core's own switch; it asks for it each time
        self._tracer = self._traces.get_tracer(_NAME, __version__)
        self._open = self._tracer.start_as_current_span("scan", record_exception=False)
        self._span = self._open.__enter__()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """A span; one that fails says with what, without secrets."""
        from opentelemetry.trace import Status, StatusCode

        with self._tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as span:
            try:
                yield
            except BaseException as error:
                span.set_status(Status(StatusCode.ERROR, redact(str(error))))
                raise

    def end(self, record: Record) -> None:
        """Closes the trace, and sends both; a collector that takes nothing is the exporter's warning."""
        from opentelemetry.trace import Status, StatusCode

        if record.state != "finished":
            self._span.set_status(Status(StatusCode.ERROR, record.error))
        self._span.set_attributes({"auditor.exit_code": record.exit_code or 0, "auditor.state": record.state})
        self._open.__exit__(None, None, None)
        self._measure(record)
        self._traces.shutdown()
        self._metrics.shutdown()

    def _measure(self, record: Record) -> None:
        meter = self._metrics.get_meter(_NAME, __version__)
        meter.create_counter("auditor.runs").add(1, {"state": record.state, "exit_code": record.exit_code or 0})
        seconds = meter.create_histogram("auditor.phase.duration", unit="s")
        for phase, took in record.phases.items():
            seconds.record(took, {"phase": phase})
        requests = meter.create_counter("auditor.requests")
        for entry in record.requests:
            requests.add(entry.count, {"http.request.method": entry.method, "http.response.status_code": entry.status})
        meter.create_counter("auditor.requests.repeated").add(record.retries)
        if record.state != "finished":
            return
        meter.create_gauge("auditor.gaps").set(record.gaps)
        for name, counts in (("smtp", record.smtp), ("risk", record.risk), ("coverage", record.coverage)):
            gauge = meter.create_gauge(f"auditor.{'listings' if name == 'coverage' else f'vms.by_{name}'}")
            for code, count in counts.items():
                gauge.set(count, {name: code})
        changes = meter.create_counter("auditor.changes")
        for kind, count in (record.changes or {}).items():
            changes.add(count, {"change": kind})


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def _redacting(exporter: SpanExporter) -> SpanExporter:
    """An exporter before which attributes, events and reasons are redacted: azure-core notes errors as they are."""
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.trace import Status

    def plain(attributes: Mapping[str, Any] | None) -> Any:
        return without_secrets(dict(attributes or {}))

    def redacted(span: ReadableSpan) -> ReadableSpan:
        reason = span.status.description
        return ReadableSpan(
            name=span.name,
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes=plain(span.attributes),
            events=[Event(event.name, plain(event.attributes), event.timestamp) for event in span.events],
            links=span.links,
            kind=span.kind,
            status=Status(span.status.status_code, redact(reason) if reason else None),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    class Redacting(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            return exporter.export([redacted(span) for span in spans])

        def shutdown(self) -> None:
            exporter.shutdown()

    return Redacting()
