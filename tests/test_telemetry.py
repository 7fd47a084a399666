"""Traces and metrics, by OpenTelemetry's own exporters to a collector on loopback."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from time import monotonic
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.cloud.endpoint import CLIENT_SECRET
from tests.cloud.server import serve_snapshot
from tests.program import FIXTURES, ROOT, finish, start

NO_NSG = FIXTURES / "scenarios" / "no-nsg"


class Collector:
    """What arrived: bodies by path."""

    def __init__(self) -> None:
        self.url = ""
        self.taken: dict[str, list[bytes]] = {"/v1/traces": [], "/v1/metrics": []}

    def spans(self) -> list[Any]:
        """All spans."""
        requests = map(ExportTraceServiceRequest.FromString, self.taken["/v1/traces"])
        return [span for r in requests for of in r.resource_spans for scope in of.scope_spans for span in scope.spans]

    def metrics(self) -> dict[str, Any]:
        """The last state of all metrics, by name."""
        requests = map(ExportMetricsServiceRequest.FromString, self.taken["/v1/metrics"])
        found = (m for r in requests for of in r.resource_metrics for scope in of.scope_metrics for m in scope.metrics)
        return {metric.name: metric for metric in found}


@contextmanager
def collector() -> Iterator[Collector]:
    """A collector that takes OTLP over HTTP."""
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.taken[self.path].append(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()


def scan(cwd, environment, *arguments):
    """A scan that says where its telemetry goes."""
    return finish(start("scan", "--format", "csv", *arguments, cwd=cwd, environment=environment))


def test_a_live_scan_is_a_trace(tmp_path):
    """One trace: the run, its phases, and azure-core's spans of the requests below the phase that asked."""
    with collector() as told, serve_snapshot(NO_NSG) as server:
        environment = {**server.environment, "OTEL_EXPORTER_OTLP_ENDPOINT": told.url}
        done = scan(tmp_path, environment, "--auth", "environment")
        asked = len(server.requests)
        secrets = [CLIENT_SECRET, *server.endpoint.tokens]
    assert done.code == 0, done.err
    spans = {span.span_id: span for span in told.spans()}
    assert len({span.trace_id for span in spans.values()}) == 1
    (run,) = [span for span in spans.values() if not span.parent_span_id]
    assert run.name == "scan"
    phases = {span.name: span for span in spans.values() if span.parent_span_id == run.span_id}
    assert phases.keys() >= {"collect", "judge", "write", "deliver"}
    requests = [span for span in spans.values() if span.name in ("GET", "POST")]
    assert len(requests) >= asked
    for span in requests:
        while span.parent_span_id != run.span_id:
            span = spans[span.parent_span_id]
        assert span is phases["collect"]
    sent = b"".join(body for bodies in told.taken.values() for body in bodies)
    assert not any(secret.encode() in sent for secret in secrets)


def test_figures_are_metrics(tmp_path):
    """VMs by verdict and risk, requests, seconds and the exit code are metrics of the service."""
    with collector() as told:
        done = scan(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": told.url}, "--from", str(NO_NSG))
        metrics = told.metrics()
    assert done.code == 0, done.err
    (point,) = metrics["auditor.vms.by_smtp"].gauge.data_points
    assert (point.as_int, point.attributes[0].value.string_value) == (1, "open")
    (run,) = metrics["auditor.runs"].sum.data_points
    assert {a.key: a.value.string_value or a.value.int_value for a in run.attributes} == {
        "state": "finished",
        "exit_code": 0,
    }
    assert metrics.keys() >= {"auditor.phase.duration", "auditor.gaps", "auditor.listings"}


def test_a_failed_run_is_told(tmp_path):
    """A run without a report ends its trace with an error, and is counted."""
    with collector() as told:
        done = scan(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": told.url}, "--from", str(tmp_path / "nowhere"))
        (run,) = [span for span in told.spans() if span.name == "scan"]
        (point,) = told.metrics()["auditor.runs"].sum.data_points
    assert done.code == 1
    assert "no such directory" in run.status.message
    assert {a.key: a.value.string_value or a.value.int_value for a in point.attributes} == {
        "state": "failed",
        "exit_code": 1,
    }


def test_nobody_listens(tmp_path):
    """A collector that is not there changes neither the exit code nor the report, and does not hold up the run."""
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TIMEOUT": "2"}
    began = monotonic()
    done = scan(tmp_path, environment, "--from", str(NO_NSG))
    assert done.code == 0, done.err
    assert (tmp_path / "reports" / "latest" / "vms.csv").exists()
    assert monotonic() - began < 30


def test_off_is_free(tmp_path):
    """Without a collector in the environment, or with the SDK disabled, nothing of it is even imported."""
    code = "import os, sys; from auditor import telemetry; print(type(telemetry.begin(os.environ, 'r')).__name__, 'opentelemetry' in sys.modules)"
    for environment in ({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout == "Silent False\n"


def test_without_the_extra(tmp_path):
    """A collector without the SDK is a warning that says what to install."""
    code = """
import logging, os, sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocked())
logging.basicConfig()
from auditor import telemetry
print(type(telemetry.begin(os.environ, "r")).__name__)
"""
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "Silent\n"
    assert "pip install 'auditor[otel]'" in done.stderr
