"""Smaller policies as files: readable by their owner alone, and never over another file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from signoff.audit.iam.smaller import Document, Smaller, compact
from signoff.model.errors import SignoffError


def write_policies(folder: Path, name: str, policies: Smaller, force: bool) -> tuple[Path, ...]:
    """The files of one role's smaller policies, in the order they were written.

    Raises `SignoffError` when one is there already and `force` is not given; then none of
    them is written.
    """
    planned = list(_planned(folder, name, policies))
    there = [path for path, _ in planned if path.exists() or path.is_symlink()]
    if there and not force:
        raise SignoffError(f"`{there[0]}` is there already", "", "add --force, or name another DIR")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path, text in planned:
        _write(path, text)
    return tuple(path for path, _ in planned)


def _planned(folder: Path, name: str, policies: Smaller) -> Iterator[tuple[Path, str]]:
    stem = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in name)[:80]
    for number, document in enumerate(policies.managed, 1):
        yield folder / f"{stem}.managed-{number}.json", _readable(document)
    if policies.session is not None:
        # White space counts in a session policy, so it is written without any.
        yield folder / f"{stem}.session.json", compact(policies.session) + "\n"


def _readable(document: Document) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _write(path: Path, text: str) -> None:
    # A new file in its place: what another name leads to is not written through.
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(fresh, path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
