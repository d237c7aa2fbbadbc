"""An HTTP request as it came over the wire, before anyone has read meaning into it. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One HTTP request. `path` and `query` are raw (still percent-encoded, the query
    without its `?`); `headers` keep their order and every duplicate, names lower-case."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header that may appear once; None when absent or repeated."""
        found = [v for k, v in self.headers if k == name]
        return found[0] if len(found) == 1 else None
