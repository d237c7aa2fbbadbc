"""What differs between two configurations, setting by setting, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import Field, fields, is_dataclass
from difflib import unified_diff
from itertools import chain
from typing import TYPE_CHECKING

from signoff.config.values import Config, Environment
from signoff.model.human import Human

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

LINE_MOST = 400
_GOES_ON = "    "
SHOWN_MOST = 200
"""So many changed lines of one file are shown to those who sign."""

_APART = frozenset({"humans", "environments", "rules", "policies", "path", "files"})
"""Members of `Config` that have words of their own."""


def changed_settings(old: Config, new: Config) -> tuple[str, ...]:
    """One line for each setting that differs, each policy file, human, environment and map
    row; empty when both mean the same. Comments and layout are no difference."""
    lines = [*_members("", old, new, _APART)]
    lines += _humans(old.humans, new.humans)
    lines += _environments(old.environments, new.environments)
    lines += _rows("map", _map(old), _map(new))
    lines += _rows("policies.extra", list(map(str, old.policies)), list(map(str, new.policies)))
    lines += _files(old.files or {}, new.files or {})
    return tuple(chain.from_iterable(map(_wrapped, lines)))


def _members(prefix: str, old: object, new: object, apart: frozenset[str]) -> Iterable[str]:
    if not is_dataclass(old) or isinstance(old, type):
        return
    for member in _told(old):
        if member.name in apart:
            continue
        was, will = getattr(old, member.name), getattr(new, member.name)
        name = f"{prefix}{member.name}"
        if is_dataclass(was) and is_dataclass(will):
            yield from _members(f"{name}.", was, will, frozenset())
        elif isinstance(was, tuple) and isinstance(will, tuple):
            yield from _rows(name, list(map(_value, was)), list(map(_value, will)))
        elif was != will:
            yield f"{name}: {_value(was)} becomes {_value(will)}"


def _humans(old: Iterable[Human], new: Iterable[Human]) -> Iterable[str]:
    before, after = {h.name: h for h in old}, {h.name: h for h in new}
    for name in sorted({*before, *after}):
        was, will = before.get(name), after.get(name)
        if was is None and will is not None:
            keys = ", ".join(k.fingerprint for k in will.keys)
            yield f"human {_value(name)} is enrolled with {keys}" + _in(will)
        elif will is None:
            yield f"human {_value(name)} is removed"
        elif was is not None:
            yield from _keys(was, will)
            if set(was.groups) != set(will.groups):
                now, before_it = _in(will) or " in no group", _in(was) or " in none"
                yield f"human {_value(name)} is{now}, was{before_it}"


def _keys(was: Human, will: Human) -> Iterable[str]:
    before = {k.fingerprint for k in was.keys}
    after = {k.fingerprint for k in will.keys}
    for key in sorted(after - before):
        yield f"human {_value(will.name)} gets the key {key}"
    for key in sorted(before - after):
        yield f"human {_value(will.name)} loses the key {key}"


def _in(human: Human) -> str:
    return f" in {', '.join(human.groups)}" if human.groups else ""


def _environments(old: Iterable[Environment], new: Iterable[Environment]) -> Iterable[str]:
    before, after = {e.name: e for e in old}, {e.name: e for e in new}
    for name in sorted({*before, *after}):
        was, will = before.get(name), after.get(name)
        if was is not None and will is not None:
            yield from _members(f"environment.{name}.", was, will, frozenset({"name"}))
        elif will is not None:
            yield f"environment {_value(name)} is new: {_members_of(will)}"
        else:
            yield f"environment {_value(name)} is removed; what it held is production now"


def _map(config: Config) -> list[str]:
    return [_members_of(row) for row in config.rules]


def _members_of(value: DataclassInstance) -> str:
    found = ((f.name, getattr(value, f.name)) for f in _told(value))
    return ", ".join(
        f"{name} {_value(v)}" for name, v in found if v not in ("", (), None) and v is not False
    )


def _told(value: DataclassInstance) -> list[Field[object]]:
    """The members that mean something: where a row stands in its file does not."""
    return [f for f in fields(value) if f.compare and f.name != "line"]


def _rows(name: str, old: list[str], new: list[str]) -> Iterable[str]:
    if old == new:
        return
    gone, come = [r for r in old if r not in new], [r for r in new if r not in old]
    for row in gone:
        yield f"{name}: without {row}"
    for row in come:
        yield f"{name}: with {row}"
    if new != [r for r in old if r in new] + come:
        # The first row that fits counts, so where a row stands says as much as what is in it.
        yield f"{name}: in another order: {'; '.join(new) or 'empty'}"


def _files(old: Mapping[str, str], new: Mapping[str, str]) -> Iterable[str]:
    for name in sorted({*old, *new}):
        was, will = _split(old.get(name, "")), _split(new.get(name, ""))
        if was == will:
            continue
        delta = list(unified_diff(was, will, lineterm="", n=0))[2:]
        come = sum(line.startswith("+") for line in delta)
        gone = sum(line.startswith("-") for line in delta)
        yield f"{name}: {come} lines come, {gone} go"
        shown = [line for line in delta if line[:1] in "+-" and line[1:].strip()]
        yield from (f"  {line[0]} {line[1:]}" for line in shown[:SHOWN_MOST])
        if len(shown) > SHOWN_MOST:
            yield f"  and {len(shown) - SHOWN_MOST} more lines: read the file before you sign"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value in ("", (), None):
        return "nothing"
    if is_dataclass(value) and not isinstance(value, type):
        return _members_of(value)
    return f"`{value}`"


def _split(text: str) -> list[str]:
    """The lines of a file. Only a line feed ends one, as it ends a comment of Cedar."""
    return text.removesuffix("\n").split("\n") if text else []


def _wrapped(text: str) -> Iterable[str]:
    """The text in lines that fit a terminal: nothing of it is left out."""
    plain = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    yield plain[:LINE_MOST]
    for at in range(LINE_MOST, len(plain), LINE_MOST - len(_GOES_ON)):
        yield _GOES_ON + plain[at : at + LINE_MOST - len(_GOES_ON)]
