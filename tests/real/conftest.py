"""Fixtures that start real servers as child processes on free loopback ports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from real.servers import local_aws
from signoff.demo.children import Child
from signoff.demo.world import client


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
