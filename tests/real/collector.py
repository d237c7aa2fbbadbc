"""A real OpenTelemetry collector (Rotel), and the backend it forwards to."""

from __future__ import annotations

import gzip
import queue
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import rotel
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from signoff.demo.children import bare_environment

AGENT = Path(rotel.__file__).parent / "rotel-agent"
WAIT_SECONDS = 30.0


class Backend:
    """Where the collector sends what it took: protobuf over HTTP, as it speaks by itself."""

    def __init__(self) -> None:
        taken: queue.Queue[ExportLogsServiceRequest] = queue.Queue()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                request = ExportLogsServiceRequest()
                request.ParseFromString(body)
                taken.put(request)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.taken = taken
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def records(self, count: int) -> list[LogRecord]:
        """So many log records, in the order they came; raises `queue.Empty` in the end."""
        found: list[LogRecord] = []
        while len(found) < count:
            for resource in self.taken.get(timeout=WAIT_SECONDS).resource_logs:
                for scope in resource.scope_logs:
                    found += scope.log_records
        return found


@contextmanager
def backend() -> Iterator[Backend]:
    """A backend, listening."""
    one = Backend()
    threading.Thread(target=one.server.serve_forever, daemon=True).start()
    try:
        yield one
    finally:
        one.server.shutdown()
        one.server.server_close()


@contextmanager
def collector(folder: Path, forwards_to: str) -> Iterator[str]:
    """The collector's OTLP/HTTP address; it ends with the block."""
    grpc, http = free_port(), free_port()
    log = (folder / "collector.log").open("wb")
    with log:
        process = subprocess.Popen(
            [
                str(AGENT),
                "start",
                *("--otlp-grpc-endpoint", f"127.0.0.1:{grpc}"),
                *("--otlp-http-endpoint", f"127.0.0.1:{http}"),
                *("--exporter", "otlp"),
                *("--otlp-exporter-protocol", "http"),
                *("--otlp-exporter-endpoint", forwards_to),
                *("--pid-file", str(folder / "collector.pid")),
                *("--log-file", str(folder / "collector-own.log")),
            ],
            stdout=log,
            stderr=log,
            cwd=folder,
            env=bare_environment(HOME=str(folder)),
        )
    try:
        yield f"http://127.0.0.1:{http}"
    finally:
        process.terminate()
        process.wait(WAIT_SECONDS)


@contextmanager
def behind_tls(target: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """An https address for `localhost` in front of a plain one, and the certificate to trust."""
    certificate, key = _certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            import urllib.request

            body = self.rfile.read(int(self.headers["Content-Length"]))
            kind = {"Content-Type": self.headers["Content-Type"]}
            asked = urllib.request.Request(target + self.path, body, kind)
            with urllib.request.urlopen(asked) as answer:
                told = answer.read()
            self.send_response(200)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://localhost:{server.server_port}", certificate
    finally:
        server.shutdown()
        server.server_close()


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _certificate(folder: Path) -> tuple[Path, Path]:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "cert.pem", folder / "cert.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private
