"""The high-water mark: the newest checkpoint, remembered outside the state directory.

Whoever puts an older copy of the state back does not put the mark back with it.
"""

from __future__ import annotations

import os
from pathlib import Path

from signoff.store.contracts import Notary

MOST_BYTES = 64 * 1024


class HighWaterMark:
    """One small file that holds the newest signed checkpoint."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, note: str) -> None:
        """Replace the mark, so that at any moment the old or the new one is there, whole.

        Raises `OSError` when it cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self.path.with_name(self.path.name + ".new")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(handle, note.encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(fresh, self.path)
        sync_directory(self.path.parent)

    def read(self) -> str | None:
        """The note, or None when there is no mark. Raises `OSError` when it is unreadable."""
        try:
            with self.path.open("rb") as file:
                return file.read(MOST_BYTES).decode("utf-8", "replace")
        except FileNotFoundError:
            return None

    def head(self, notary: Notary) -> tuple[int, bytes] | None:
        """Size and root of the mark, or None when there is none.

        Raises `ProofInvalid` when this ledger's key did not sign it, `OSError` when it
        cannot be read.
        """
        note = self.read()
        return None if note is None else notary.read(note)

    def set_aside(self, name: str) -> None:
        """Keep the present mark as evidence beside itself, before it is written over."""
        if self.path.exists():
            os.replace(self.path, self.path.with_name(f"{self.path.name}.{name}"))
            sync_directory(self.path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable (fsync of the directory itself)."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
