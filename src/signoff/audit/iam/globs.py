"""IAM's wildcards: `*` any run of characters, `?` any one. Pure.

Besides matching a text, patterns are compared with patterns: a policy grants patterns, not
things. `covers` may say no where yes is true (it never protects too much); `overlaps` is exact.
Source: AWS IAM User Guide, "IAM JSON policy elements: Resource" and "Action".
"""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache

PATTERN_MOST = 2_048
"""Longest pattern that is compared, in characters; a longer one covers nothing."""


@lru_cache(maxsize=65_536)
def compiled(pattern: str, any_case: bool = False) -> re.Pattern[str]:
    """The pattern as an expression whose matching does not blow up on many wildcards."""
    return re.compile(translate(pattern.replace("[", "[[]")), re.I if any_case else 0)


def matches(pattern: str, text: str, any_case: bool = False) -> bool:
    """Whether the text is one the pattern stands for."""
    return compiled(pattern, any_case).match(text) is not None


@lru_cache(maxsize=65_536)
def covers(wide: str, narrow: str) -> bool:
    """Whether every text that `narrow` stands for is one that `wide` stands for."""
    if wide == narrow or not wide.strip("*"):
        return bool(wide) or not narrow
    head = wide.partition("*")[0].partition("?")[0]
    if len(head) == len(wide) or not narrow.startswith(head):
        # What comes before the first wildcard has to be there, sign by sign.
        return False
    if max(len(wide), len(narrow)) > PATTERN_MOST:
        return False
    # Rows of a table over the characters of `narrow`: which beginnings of it are covered.
    row = [True] + [False] * len(narrow)
    for sign in wide:
        if sign == "*":
            after, open_now = [], False
            for reached in row:
                open_now = open_now or reached
                after.append(open_now)
        else:
            after = [False]
            for at, other in enumerate(narrow):
                same = other != "*" and sign in (other, "?")
                after.append(row[at] and same)
        row = after
    return row[-1]


@lru_cache(maxsize=65_536)
def overlaps(one: str, other: str) -> bool:
    """Whether some text is one that both stand for."""
    if (not one.strip("*") and one) or (not other.strip("*") and other):
        return True
    if max(len(one), len(other)) > PATTERN_MOST:
        return True
    row = _steps_over_stars([True] + [False] * len(other), other)
    for sign in one:
        after = list(row) if sign == "*" else [False] * (len(other) + 1)
        for at, there in enumerate(other):
            if sign == "*":
                after[at + 1] = after[at + 1] or after[at]
            elif there == "*":
                # The star stays open for whatever follows in the first pattern.
                after[at + 1] = after[at + 1] or row[at] or row[at + 1]
                after[at] = after[at] or row[at]
            elif row[at] and (sign == there or "?" in (sign, there)):
                after[at + 1] = True
        row = _steps_over_stars(after, other)
    return row[-1]


def _steps_over_stars(row: list[bool], other: str) -> list[bool]:
    for at, there in enumerate(other):
        if row[at] and there == "*":
            row[at + 1] = True
    return row
