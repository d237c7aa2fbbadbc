"""Fixtures that start real servers as child processes on free loopback ports."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from real.gate_world import REGION, Gate
from real.recorder import Recorder
from real.servers import local_aws
from signoff.config import HoldSettings, MapRow, write_config
from signoff.demo.children import Child
from signoff.demo.guard import guard, prepare
from signoff.demo.world import client
from signoff.surfaces.aws.identify import Index


@pytest.fixture(scope="session")
def shared_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """One local AWS for the whole session; use `aws`, which empties it first."""
    with local_aws(tmp_path_factory.mktemp("aws")) as child:
        yield child


@pytest.fixture
def aws(shared_aws: Child) -> Child:
    """The local AWS, empty."""
    with urlopen(Request(f"{shared_aws.url}/moto-api/reset", method="POST")) as answer:
        assert answer.status == 200
    return shared_aws


@pytest.fixture
def fresh_aws(tmp_path: Path) -> Iterator[Child]:
    """A local AWS of the test's own (a second or two slower than `aws`)."""
    with local_aws(tmp_path) as child:
        yield child


@pytest.fixture
def owner(aws: Child) -> Callable[[str], Any]:
    """A boto3 client of a service straight to the local AWS, as its owners have it."""
    return lambda service: client(service, aws.url)


@pytest.fixture(scope="session")
def operations_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of every AWS operation, which a daemon otherwise builds at its first start."""
    path = tmp_path_factory.mktemp("index") / "aws-operations.json"
    Index.build().save(path)
    return path


@pytest.fixture(scope="session")
def gate(
    shared_aws: Child, operations_index: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gate]:
    """One real daemon for the session: `dev-` names are development, the rest production.

    Tests take a run key of their own (`gate.agent()`) and names nobody else uses (`fresh`).
    """
    recorder = Recorder(shared_aws.url)
    rules = (MapRow("development", name="dev-*"),)
    folder = tmp_path_factory.mktemp("gate") / "guard"
    try:
        with guard(
            folder, recorder.url, rules=rules, regions=(REGION,), index=operations_index
        ) as running:
            yield Gate(running, recorder)
    finally:
        recorder.stop()


_ELSEWHERE = """
import os, time
_real, _file = time.time_ns, os.environ["MOVED_CLOCK"]
time.time_ns = lambda: _real() + int(open(_file).read()) * 1_000_000_000
from signoff.gates.aws_client import Limits
Limits.__init__.__defaults__ = (5.0, 2.5, *Limits.__init__.__defaults__[2:])
"""


@pytest.fixture(scope="session")
def moving(
    shared_aws: Child, operations_index: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gate]:
    """A daemon on a machine whose clock the test moves (`clock` beside its folder, seconds).

    Its holds live for a minute, the target has 2.5 s to answer, a body may have 1 MB. Python runs
    `sitecustomize` before anything of Signoff's, so the daemon itself is the real one.
    """
    folder = tmp_path_factory.mktemp("moving")
    (folder / "sitecustomize.py").write_text(_ELSEWHERE)
    (folder / "clock").write_text("0")
    recorder = Recorder(shared_aws.url)
    rules = (MapRow("development", name="dev-*"),)
    made = prepare(
        folder / "guard", recorder.url, rules=rules, regions=(REGION,), index=operations_index
    )
    made.config = replace(
        made.config,
        holds=HoldSettings(expires_minutes=1),
        gate=replace(made.config.gate, body_most_mb=1),
    )
    assert made.config.path is not None
    write_config(made.config, made.config.path)
    paths = ":".join([str(folder), *(p for p in sys.path if p)])
    made.variables.update(PYTHONPATH=paths, MOVED_CLOCK=str(folder / "clock"))
    try:
        made.start()
        yield Gate(made, recorder)
    finally:
        made.stop()
        recorder.stop()
