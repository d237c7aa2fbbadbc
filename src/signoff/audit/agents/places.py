"""Where an audit of agents looks: a home, a work tree, and the root of the machine.

The root is `/`, or a folder with another machine's files in it; nothing outside the three
is read, and nothing is written.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from signoff.audit.agents.knowledge import Source

FILE_BYTES_MOST = 4_000_000
FILES_MOST = 200
SCRIPT_BYTES_MOST = 64_000
"""How much of one file is read, and how many files one pattern may name."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program a hook names: where it lies ("" when it is nowhere), and why somebody else
    could change it ("" when nobody could)."""

    path: str
    writable: str = ""


@dataclass(frozen=True)
class Ground:
    """The files an audit may look at. `path` are the folders programs are found in, below
    `root`; `agent_uid` is the user the agent runs as, when that is known."""

    home: Path
    project: Path
    root: Path = Path("/")
    path: tuple[str, ...] = ("/usr/local/bin", "/usr/bin", "/bin")
    agent_uid: int | None = None

    def files(self, source: Source) -> Iterator[Path]:
        """The files a row of a table names that are there, in order."""
        base = {"home": self.home, "project": self.project, "system": self.root}[source.base]
        path = base / source.path
        if not any(c in source.path for c in "*?["):
            found = [path]
        elif _there(path.parent) and not os.access(path.parent, os.R_OK | os.X_OK):
            # What cannot be listed may hold anything: reading the folder itself says so.
            yield path.parent
            return
        else:
            found = sorted(base.glob(source.path))
        yield from [p for p in found if _there(p) and not _folder(p)][:FILES_MOST]

    def expected(self, source: Source) -> Path:
        """Where a file of that row would lie."""
        base = {"home": self.home, "project": self.project, "system": self.root}[source.base]
        return base / source.path

    def there(self, path: str) -> bool:
        """Whether a path that starts with `~/`, `./` or `/` is there."""
        return _there(self.named(path))

    def named(self, path: str) -> Path:
        """A path of a table: `~/` is the home, `./` the work tree, anything else the root."""
        if path.startswith("~/"):
            return self.home / path[2:]
        if path.startswith("./"):
            return self.project / path[2:]
        return self.root / path.lstrip("/")

    def read(self, path: Path) -> str:
        """The text of a file. Raises `OSError`, or `ValueError` when it is too large or no text."""
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MOST + 1)
        if len(raw) > FILE_BYTES_MOST:
            raise ValueError(f"it is larger than {FILE_BYTES_MOST} bytes")
        return raw.decode("utf-8-sig")

    def program(self, word: str) -> Program:
        """The program a word of a hook's command names."""
        named = self._named(word)
        if named is None or not named.exists():
            return Program("")
        return Program(str(named), self._writable(named))

    def script(self, word: str) -> str:
        """The text of a script a hook names; empty when it is none, or a program."""
        named = self._named(word)
        try:
            if named is None or not named.is_file():
                return ""
            with named.open("rb") as file:
                return file.read(SCRIPT_BYTES_MOST).decode("utf-8")
        except (OSError, UnicodeDecodeError):
            return ""

    def _named(self, word: str) -> Path | None:
        if word.startswith("~/"):
            return self.home / word[2:]
        if word.startswith("/"):
            inside = Path(word)
            for known in (self.home, self.project):
                if inside.is_relative_to(known):
                    return inside
            return self.root / word.lstrip("/")
        for folder in self.path:
            found = self.root / folder.lstrip("/") / word
            if found.is_file() and os.access(found, os.X_OK):
                return found
        return None

    def _writable(self, path: Path) -> str:
        """Why the agent could change a program: its mode or owner, or that of a folder above."""
        real = path.resolve()
        stops = {self.root.resolve(), self.home.resolve().parent, Path("/")}
        for step in (real, *real.parents):
            if step in stops:
                return ""
            seen = step.stat()
            mode = stat.S_IMODE(seen.st_mode)
            sticky = step is not real and mode & stat.S_ISVTX
            if mode & 0o022 and not sticky:
                return f"`{step}` has mode {mode:04o}"
            if self.agent_uid is not None and seen.st_uid == self.agent_uid:
                return f"`{step}` belongs to uid {seen.st_uid}, the agent's own"
        return ""


def _there(path: Path) -> bool:
    """Whether a regular file or a folder is there. One that may not be looked at counts: what
    it allows is unknown, and reading it will say so."""
    try:
        mode = path.stat().st_mode
    except PermissionError:
        return True
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return False
