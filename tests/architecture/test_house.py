"""The house rules, kept by a test instead of a reviewer: floors, sizes, purity, honesty."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "signoff"

# A room imports only from floors below its own. The first matching prefix counts.
FLOORS: tuple[tuple[str, int], ...] = (
    ("signoff.model", 1),
    ("signoff.surfaces.base", 2),
    ("signoff.surfaces", 2),
    ("signoff.approvals", 2),
    ("signoff.ledger", 2),
    ("signoff.store", 2),
    ("signoff.vault", 2),
    ("signoff.config", 2),
    ("signoff.understand", 3),
    ("signoff.policy", 3),
    ("signoff.breaker", 3),
    ("signoff.world", 3),
    ("signoff.steps", 4),
    ("signoff.pipeline", 5),
    ("signoff.undo", 6),
    ("signoff.audit", 6),
    ("signoff.gates", 6),
    ("signoff.standing", 6),
    ("signoff.house", 7),
    ("signoff.explaining", 7),
    ("signoff.wiring", 8),
    ("signoff.testing", 9),
    ("signoff.faces", 9),
    ("signoff.demo", 10),
    ("signoff", 0),
)
PURE_BANS = {"os", "socket", "asyncio", "subprocess", "time", "random", "pathlib"}
NAME_BANS = re.compile(r"(Manager|Helper|Utils?)$")


@cache
def _sources() -> dict[str, tuple[Path, ast.Module, str]]:
    found = {}
    for path in sorted(SRC.rglob("*.py")):
        text = path.read_text()
        parts = path.relative_to(SRC.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = (path, ast.parse(text), text)
    return found


def _room(module: str) -> str:
    """The thing that may import itself freely: a folder of the house, or a lone module."""
    parts = module.split(".")
    if parts[:2] == ["signoff", "surfaces"]:
        return ".".join(parts[:3])
    return ".".join(parts[:2])


def _floor(module: str) -> int:
    for prefix, floor in FLOORS:
        if module == prefix or module.startswith(prefix + "."):
            return floor
    raise AssertionError(f"`{module}` has no floor")


def _imports(module: str) -> set[str]:
    path, tree, _ = _sources()[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*up, base] if base else up)
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


def _ours(module: str) -> set[str]:
    known = _sources()
    return {n for n in _imports(module) if n in known and n not in ("signoff", module)}


@pytest.mark.parametrize("module", sorted(_sources()))
def test_a_room_imports_only_from_floors_below_it(module: str) -> None:
    if module in {"signoff", "signoff.__main__"}:
        return
    for name in _ours(module):
        if _room(name) == _room(module):
            continue
        if name == "signoff.surfaces.base" and module.startswith("signoff.surfaces"):
            continue
        if name == "signoff.surfaces":
            continue
        assert _floor(name) < _floor(module), f"`{module}` imports `{name}` from above or beside"


def test_no_module_is_part_of_an_import_circle() -> None:
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, "circle: " + " -> ".join([*path[path.index(module) :], module])
        if module in done:
            return
        for name in _ours(module):
            if not (module.startswith(name + ".")):
                visit(name, (*path, module))
        done.add(module)

    for module in _sources():
        visit(module, ())


def test_verify_never_reaches_the_log_that_wrote_it() -> None:
    if "signoff.ledger.verify" in _sources():
        assert not _ours("signoff.ledger.verify") & {"signoff.ledger.log", "signoff.store"}


def test_the_recount_shares_no_code_with_the_count() -> None:
    if "signoff.approvals.recount" in _sources():
        shared = {"signoff.approvals.quorum", "signoff.approvals.holds", "signoff.policy"}
        assert not _ours("signoff.approvals.recount") & shared


@pytest.mark.parametrize("module", sorted(_sources()))
def test_what_says_pure_touches_nothing(module: str) -> None:
    _, tree, _ = _sources()[module]
    docstring = ast.get_docstring(tree) or ""
    if "Pure." not in docstring:
        return
    tops = {name.split(".")[0] for name in _imports(module)}
    assert not tops & PURE_BANS, f"`{module}` says Pure and imports {sorted(tops & PURE_BANS)}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "open", f"`{module}` says Pure and opens a file"


@pytest.mark.parametrize("module", sorted(_sources()))
def test_every_module_says_why_it_exists(module: str) -> None:
    path, tree, text = _sources()[module]
    if path.name == "__init__.py" and not text.strip():
        return
    assert ast.get_docstring(tree), f"`{module}` has no docstring"


def test_files_and_functions_stay_small() -> None:
    lines = {name: text.count("\n") for name, (_, _, text) in _sources().items()}
    big = {name: count for name, count in lines.items() if count > 400}
    assert not {n: c for n, c in lines.items() if c > 700}
    assert len(big) <= len(lines) / 10, f"over 400 lines: {big}"
    lengths = {}
    for name, (_, tree, _) in _sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                lengths[f"{name}.{node.name}:{node.lineno}"] = length
    assert not {n: c for n, c in lengths.items() if c > 70}
    long = {n: c for n, c in lengths.items() if c > 50}
    assert len(long) <= len(lengths) / 20, f"over 50 lines: {long}"


def test_the_story_is_under_150_lines() -> None:
    assert (SRC / "pipeline.py").read_text().count("\n") < 150


@pytest.mark.parametrize("module", sorted(_sources()))
def test_names_and_statements_keep_the_house_style(module: str) -> None:
    _, tree, text = _sources()[module]
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            assert not NAME_BANS.search(node.name), f"`{module}.{node.name}`: name the thing"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"`{module}:{node.lineno}`: bare except"
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Name) and called.id == "print":
            allowed = module.startswith(("signoff.faces", "signoff.demo"))
            assert allowed, f"`{module}:{node.lineno}` prints"
    for number, line in enumerate(text.splitlines(), 1):
        if "# type: ignore" in line:
            reason = line.split("# type: ignore", 1)[1].partition("]")[2].strip(" -#")
            assert reason, f"`{module}:{number}`: a type is ignored without a reason"


@pytest.mark.parametrize("module", sorted(_sources()))
def test_public_names_are_documented(module: str) -> None:
    _, tree, _ = _sources()[module]
    for node in tree.body:
        defines = isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if defines and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"`{module}.{node.name}` has no docstring"


def test_production_code_names_nothing_from_a_demo() -> None:
    words = ("cost-explorer", "kiro", "usage-cube")
    for name, (_, _, text) in _sources().items():
        if name.startswith(("signoff.demo", "signoff.faces.cli")):
            continue
        for word in words:
            assert word not in text.lower(), f"`{name}` names `{word}`"


def test_pinned_requirements_hold_no_address() -> None:
    for path in (ROOT / "requirements").iterdir():
        text = path.read_text()
        assert "://" not in text, path
        assert "index-url" not in text, path
