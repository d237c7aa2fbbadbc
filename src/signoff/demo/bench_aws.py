"""What the AWS gate costs: CPU per request of a real daemon, beside a bare pass-through."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from botocore.session import Session

from signoff.config import MapRow, write_config
from signoff.config.values import LimitSettings
from signoff.demo.bench_load import cpu_per_request, cpu_seconds, written
from signoff.demo.children import Child, bare_environment, start
from signoff.demo.guard import Guard, prepare
from signoff.policy.bundle import load_bundle
from signoff.policy.filler import filler_rules

POLICIES = 100
ROUNDS = 5
REQUESTS = 1_600
WARM = 800
CALLS_MOST = 1_000_000
UNUSED = (
    ("sns", "list_topics"),
    ("lambda", "list_functions"),
    ("ecs", "list_clusters"),
    ("kms", "list_keys"),
)
"""Services nothing was asked of before, in four protocols."""


@dataclass(frozen=True)
class GateCost:
    """Medians over the rounds, in seconds of CPU per request."""

    gate: float
    bare: float
    rounds: tuple[tuple[float, float], ...]

    @property
    def ratio(self) -> float:
        """How many times the pass-through's CPU the gate takes: the median of the rounds'."""
        return statistics.median(gate / bare for gate, bare in self.rounds)


@contextmanager
def measured_guard(folder: Path, index: Path | None = None) -> Iterator[tuple[Guard, Child]]:
    """A real daemon with 100 policies in front of the trivial upstream, and that upstream."""
    upstream = start("signoff.demo.bench_servers", ["upstream"], folder, bare_environment())
    try:
        made = prepare(folder / "guard", upstream.url, rules=(MapRow("production"),), index=index)
        assert made.config.path is not None
        extra = made.config.path.parent / "bench.cedar"
        shipped = len(load_bundle("team").policies)
        extra.write_text(filler_rules(POLICIES - shipped).text)
        limits = LimitSettings(calls_per_minute=CALLS_MOST)
        made.config = replace(made.config, limits=limits, policies=(extra,))
        assert made.config.path is not None
        made.config.path.unlink()
        write_config(made.config, made.config.path)
        made.start()
        try:
            yield made, upstream
        finally:
            made.stop()
    finally:
        upstream.stop()


def gate_cost(tell: Callable[[str], None]) -> GateCost:
    """Measure gate and pass-through by turns under the same load, in the same run."""
    with tempfile.TemporaryDirectory(prefix="signoff-bench-") as name:
        folder = Path(name)
        tell("aws: starting a daemon with 100 policies")
        with measured_guard(folder) as (guard, upstream):
            bare = start(
                "signoff.demo.bench_servers",
                ["passthrough", "--to", upstream.url],
                folder,
                bare_environment(),
            )
            try:
                return _rounds(guard, bare, tell)
            finally:
                bare.stop()


@dataclass(frozen=True)
class StartUps:
    """CPU seconds until the daemon serves, without and with a kept index; and how often
    requests built one after that."""

    without: float
    kept: float
    built: int


def start_ups(folder: Path, tell: Callable[[str], None]) -> StartUps:
    """Start a daemon twice; then take its kept index away and send it requests."""
    tell("index: a first start, which builds the index")
    with measured_guard(folder) as (guard, _):
        assert guard.process is not None
        without = cpu_seconds(guard.process.pid)
        guard.stop()
        tell("index: a second start, which finds it")
        guard.start()
        kept = cpu_seconds(guard.process.pid)
        guard.index_file.unlink()
        key = guard.key()
        for service, method in UNUSED:
            client = Session().create_client(
                service,
                region_name="us-east-1",
                endpoint_url=guard.endpoint,
                aws_access_key_id=key["key_id"],
                aws_secret_access_key=key["secret"],
            )
            # The upstream answers as DynamoDB does, whoever asks.
            with suppress(BotoCoreError, ClientError, ResponseParserError):
                getattr(client, method)()
        # A build is kept beside the state, so it would have left its file again.
        return StartUps(without, kept, int(guard.index_file.exists()))


def _rounds(guard: Guard, bare: Child, tell: Callable[[str], None]) -> GateCost:
    assert guard.process is not None
    asked = [{"TableName": "orders", "Key": {"pk": {"S": f"order-{n:04}"}}} for n in range(400)]
    requests = written(guard.endpoint, guard.key(), asked)
    servers = (
        (guard.process.pid, int(guard.endpoint.rpartition(":")[2])),
        (bare.process.pid, bare.port),
    )
    for pid, port in servers:
        cpu_per_request(pid, port, requests, WARM)
    rounds = []
    for number in range(ROUNDS):
        gate, plain = (cpu_per_request(pid, port, requests, REQUESTS) for pid, port in servers)
        rounds.append((gate, plain))
        tell(f"aws: round {number + 1} of {ROUNDS}: {gate * 1e6:.0f} us, bare {plain * 1e6:.0f} us")
    return GateCost(
        statistics.median(gate for gate, _ in rounds),
        statistics.median(plain for _, plain in rounds),
        tuple(rounds),
    )
