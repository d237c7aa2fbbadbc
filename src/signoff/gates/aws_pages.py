"""Pages of an answer merged into one, by botocore's paginator models."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import jmespath  # type: ignore[import-untyped]  # it ships no types
from botocore.exceptions import DataNotFoundError
from botocore.loaders import Loader

from signoff.model.action import Answer, Question
from signoff.model.values import Data, frozen, thaw


@dataclass(frozen=True)
class PageRule:
    """How one operation is paged: token members in and out (JMESPath), what to merge."""

    inputs: tuple[str, ...]
    outputs: tuple[Any, ...]
    results: tuple[str, ...]
    more: Any = None

    def start(self, question: Question) -> Merged:
        """An empty merge that will ask the question's first page."""
        return Merged(self, question, question.parameters)

    def following(self, page: dict[str, Any]) -> dict[str, Any] | None:
        """The token members of the next request; None after the last page."""
        if self.more is not None and not self.more.search(page):
            return None
        found = {}
        for name, output in zip(self.inputs, self.outputs, strict=True):
            token = output.search(page)
            if token not in (None, "", {}, []):
                found[name] = token
        return found or None


@dataclass
class Merged:
    """Pages so far. `following` is what to ask next, None when done."""

    rule: PageRule
    question: Question
    following: Data | None
    value: dict[str, Any] = field(default_factory=dict)
    entries: int = 0
    truncated: bool = False
    _token: dict[str, Any] | None = None

    def add(self, answer: Answer) -> None:
        """One more page."""
        page: Any = thaw(answer.value)
        tokens = self.rule.following(page)
        if not self.value:
            self.value = page
            self.entries = sum(self._count(page, name) for name in self.rule.results)
        else:
            for name in self.rule.results:
                self.entries += self._count(page, name)
                _extend(self.value, page, name.split("."))
        looping = tokens is not None and tokens == self._token
        self.truncated = tokens is not None and (looping or self.entries >= self.question.most)
        self._token = tokens
        if tokens is None or self.truncated:
            self.following = None
        else:
            asked: Any = thaw(self.question.parameters)
            self.following = frozen(**{**asked, **tokens})

    def answer(self) -> Answer:
        """All pages as one answer; truncated when there were more."""
        return Answer(value=frozen(**self.value), truncated=self.truncated)

    def _count(self, page: dict[str, Any], name: str) -> int:
        found: Any = page
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return len(found) if isinstance(found, (list, tuple)) else 0


class Pages:
    """Page rules by service and operation, read from botocore once."""

    def __init__(self) -> None:
        self._loader = Loader()
        self._lock = threading.Lock()
        self._rules: dict[str, dict[str, PageRule]] = {}

    def rule(self, service: str, operation: str) -> PageRule | None:
        """The rule; None when the operation is not paged. May read a file once."""
        with self._lock:
            rules = self._rules.get(service)
            if rules is None:
                rules = self._rules[service] = self._load(service)
        return rules.get(operation)

    def _load(self, service: str) -> dict[str, PageRule]:
        try:
            described = self._loader.load_service_model(service, "paginators-1")["pagination"]
        except DataNotFoundError:
            return {}
        return {name: _rule(row) for name, row in described.items()}


def _rule(row: dict[str, Any]) -> PageRule:
    more = row.get("more_results")
    return PageRule(
        inputs=_several(row["input_token"]),
        outputs=tuple(jmespath.compile(text) for text in _several(row["output_token"])),
        results=_several(row.get("result_key", ())),
        more=jmespath.compile(more) if more else None,
    )


def _several(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _extend(whole: dict[str, Any], page: dict[str, Any], path: list[str]) -> None:
    """Add the page's result at the path to the whole's: lists joined, numbers summed."""
    for part in path[:-1]:
        page = page.get(part) or {}
        whole = whole.setdefault(part, {})
    name = path[-1]
    more = page.get(name)
    if isinstance(more, list):
        whole[name] = [*(whole.get(name) or ()), *more]
    elif isinstance(more, (int, float)) and not isinstance(more, bool):
        whole[name] = (whole.get(name) or 0) + more
    elif isinstance(more, dict):
        whole[name] = {**(whole.get(name) or {}), **more}
    elif more is not None and name not in whole:
        whole[name] = more
