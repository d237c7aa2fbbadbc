"""The ledger as a plain file: written, and read back (docs/spec/ledger.md).

One receipt a line, its canonical bytes as they were hashed; then an empty line; then the
signed checkpoint. A receipt's bytes hold no line break, so the lines are the leaves.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

from signoff.ledger.checkpoint import MOST_BYTES as NOTE_MOST_BYTES
from signoff.ledger.checkpoint import format_proof, parse_checkpoint
from signoff.ledger.merkle import HashTree, leaf_hash
from signoff.model.errors import LedgerUnavailable, ProofInvalid

LEAF_MOST_BYTES = 16 * 1024 * 1024
"""A longer line is refused: no receipt is that long."""


class Source(Protocol):
    """Where receipts and their newest signed head come from: a state file or an export."""

    def receipts(self, start: int = 0, most: int | None = None) -> Iterable[tuple[int, bytes]]:
        """Index and canonical bytes of the receipts, in order."""
        ...

    def checkpoint(self) -> str:
        """The newest signed checkpoint; empty when there is none."""
        ...


def leaves(source: Source, size: int | None = None) -> Iterator[bytes]:
    """The receipts in order, at most `size` of them; raises `ProofInvalid` at a gap."""
    for expected, (index, body) in enumerate(source.receipts(0, size)):
        if index != expected:
            raise ProofInvalid(
                f"receipt {expected} is missing",
                f"the next one found is {index}",
                "somebody removed it: compare with another copy of the ledger",
            )
        yield body


def export(source: Source, path: Path) -> int:
    """Write a ledger to a new file, with the newest checkpoint; the number of receipts.

    The checkpoint is read first and only the receipts under it are written, so that the
    file is whole while the ledger grows. Raises `LedgerUnavailable` when the file cannot
    be written.
    """
    note = source.checkpoint()
    size = parse_checkpoint(note)[0].size if note else 0
    if path.exists() and not path.is_file():
        raise LedgerUnavailable(
            f"cannot write `{path}`", "it is there and no file", "name another file"
        )
    fresh = path.with_name(path.name + ".new")
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            for body in leaves(source, size):
                file.write(body + b"\n")
            file.write(b"\n" + note.encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise LedgerUnavailable(f"cannot write `{path}`", reason, "name another file") from error
    return size


class ExportedLedger:
    """An exported file, as a source. Close it after use, or use it in a `with`."""

    def __init__(self, path: Path) -> None:
        """Opens the file; raises `LedgerUnavailable` when it cannot be read."""
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as error:
            raise LedgerUnavailable(f"cannot read `{path}`", str(error)) from error

    def receipts(self, start: int = 0, most: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Index and bytes of each line before the first empty one; `ProofInvalid` when a
        line is cut off or too long."""
        self._file.seek(0)
        end = None if most is None else start + most
        for index, line in enumerate(iter(self._line, b"\n")):
            if end is not None and index >= end:
                return
            if index >= start:
                yield index, line[:-1]

    def checkpoint(self) -> str:
        """The note after the first empty line."""
        for _ in self.receipts():
            pass
        return self._file.read(NOTE_MOST_BYTES + 1).decode("utf-8", "replace")

    def _line(self) -> bytes:
        line = self._file.readline(LEAF_MOST_BYTES)
        if not line.endswith(b"\n"):
            raise ProofInvalid(
                "the exported ledger is cut off",
                "it ends before its checkpoint"
                if len(line) < LEAF_MOST_BYTES
                else "a line is too long",
                "export it again",
            )
        return line

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> ExportedLedger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def prove(source: Source, index: int) -> tuple[bytes, str]:
    """One receipt's bytes, and its proof of inclusion under the newest checkpoint (C2SP
    tlog-proof): all that an outsider needs besides the public key.

    Raises `ProofInvalid` when there is no such receipt, or when the receipts do not make
    the root that was signed.
    """
    note = source.checkpoint()
    head, _ = parse_checkpoint(note)
    hashes: list[bytes] = []
    wanted = b""
    for body in leaves(source, head.size):
        if len(hashes) == index:
            wanted = body
        hashes.append(leaf_hash(body))
    tree = HashTree(hashes)
    if tree.size != head.size or tree.root() != head.root:
        raise ProofInvalid(
            "the receipts are not those that were signed",
            "their root differs",
            "run `signoff verify`",
        )
    return wanted, format_proof(index, tree.inclusion(index), note)
