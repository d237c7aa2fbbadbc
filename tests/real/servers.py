"""Real servers for tests: the local AWS on a free loopback port, ended for sure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from signoff.demo import stage
from signoff.demo.children import Child


@contextmanager
def local_aws(folder: Path) -> Iterator[Child]:
    """moto with termination protection, `Replacement` and IMPORT; `.url` is its address."""
    with stage.upstream(folder) as child:
        yield child
