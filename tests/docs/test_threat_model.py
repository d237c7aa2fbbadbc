"""The threat model names tests that exist, and leaves out no attack that is tested."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "threat-model.md"
ATTACKS = ROOT / "tests" / "attacks"
LEVELS = {"advisory", "contained", "separated"}
ROW = re.compile(r"^\| `(test_\w+)` \| (\w+) \| (.+) \|$", re.MULTILINE)
ELSEWHERE = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
FILE = re.compile(r"^`(tests/attacks/\w+\.py)`$", re.MULTILINE)


def named_tests(path: Path) -> list[str]:
    """The names of the tests of a file, in its order."""
    tree = ast.parse(path.read_text("utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = [node.name for node in tree.body if isinstance(node, functions)]
    return [name for name in names if name.startswith("test_")]


def sections() -> dict[str, list[tuple[str, str, str]]]:
    """The rows of each table of attempts, by the file it is about."""
    parts = FILE.split(PAGE.read_text("utf-8"))
    return {file: ROW.findall(text) for file, text in zip(parts[1::2], parts[2::2], strict=True)}


def test_every_attack_that_is_tested_is_listed_under_its_file_and_no_other() -> None:
    written = {file: [name for name, _, _ in rows] for file, rows in sections().items()}
    files = sorted(ATTACKS.glob("test_*.py"))
    assert written == {str(f.relative_to(ROOT)): named_tests(f) for f in files}
    assert len(files) > 5


def test_every_attack_has_a_level_and_an_outcome() -> None:
    for rows in sections().values():
        for name, level, outcome in rows:
            assert level in LEVELS, name
            assert outcome.strip(), name


def test_every_test_a_property_names_exists() -> None:
    named = ELSEWHERE.findall(PAGE.read_text("utf-8"))
    assert len(named) > 10
    for file, name in named:
        assert name in named_tests(ROOT / file), f"{file}::{name}"


def test_what_is_not_covered_is_said() -> None:
    _, found, rest = PAGE.read_text("utf-8").partition("\n## Not covered\n")
    assert found
    assert rest.count("\n- **") >= 8
