"""What an allow rule lets pass that nobody meant, and why a deny rule stops nothing. Pure.

A rule is a text about commands. Whether it is too wide is judged by what it would match:
its program and leading words against a table, and, for expressions, against lines that
nobody wants to see pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from signoff.audit.agents.knowledge import Program, RuleList
from signoff.audit.findings import Severity

DANGEROUS = (
    "rm -rf data",
    "aws s3 rb s3://orders --force",
    "kubectl delete namespace production",
    "terraform destroy -auto-approve",
    "git push --force origin main",
    "psql -c 'drop database orders'",
    "bash -c 'rm -rf data'",
    "python3 -c 'import shutil'",
)
"""Lines that no rule should let pass by itself."""

EVERYTHING = ("*", "**", ":*", ".*", "/**", "//**", "~/**", "**/*", "./**", ".*?", "^.*$", "/.*/")
_CUT = " *:"


@dataclass(frozen=True, slots=True)
class Weakness:
    """Why a rule is wider, or weaker, than it looks."""

    check: str
    severity: Severity
    says: str
    why: str
    next_step: str


def weak_allow(
    text: str, terms: RuleList, programs: Mapping[str, Program], own: str = "signoff"
) -> Weakness | None:
    """What is wrong with a rule that lets calls pass; None when nothing is."""
    match terms.dialect:
        case "regex":
            return _wide_expression(text, programs, anchored=True)
        case "tool":
            return _wide_tool(text, terms, own)
        case "argv":
            return _wide_command(text, True, terms, programs)
        case "command":
            slashed = text.startswith("/") and text.endswith("/") and len(text) > 1
            if slashed:
                split = terms.splits == "yes"
                return _wide_expression(text[1:-1], programs, chained=not split)
            return _wide_command(text, terms.prefix, terms, programs)
    tool, pattern = call_parts(text)
    if tool in terms.shell:
        return _wide_command("*" if pattern is None else pattern, terms.prefix, terms, programs)
    return _wide_tool(text, terms, own)


def weak_deny(text: str, terms: RuleList, programs: Mapping[str, Program]) -> Weakness | None:
    """Why a rule that should stop calls stops less than it says; None when it does not."""
    if terms.dialect == "regex":
        return _narrow_expression(text, terms)
    if terms.dialect not in ("call", "table"):
        return None
    tool, pattern = call_parts(text)
    if text.count("(") != text.count(")"):
        return _useless(f"`{text}` has a bracket too many or too few", "it matches no call")
    if terms.tools and not _known_tool(tool, terms):
        near = next((t for t in terms.tools if t.lower() == tool.lower()), "")
        meant = f"the tool is called `{near}`" if near else "there is no tool of that name"
        return _useless(f"`{text}` matches no call", meant)
    if tool in terms.shell and pattern and not terms.prefix and not _open(pattern):
        program = programs.get(_program(pattern))
        if program is not None:
            return _useless(
                f"`{text}` stops this one line alone",
                f"`{pattern} data` is another line and passes",
                next_step=f"write `{tool}({_program(pattern)} *)`, and deny by effect in Signoff",
            )
    if tool in terms.read + terms.write and pattern and _absolute(pattern):
        return _useless(
            f"`{text}` is read from the settings' own folder on",
            f"one `/` is no absolute path in these rules; `{tool}(/{pattern})` is",
            next_step=f"write `{tool}(/{pattern})`",
        )
    return None


def overridden(earlier: str, later: str) -> bool:
    """Whether a later pattern matches all that an earlier one does, so that it alone counts."""
    return later != earlier and (later in EVERYTHING or fnmatchcase(earlier, later))


def call_parts(text: str) -> tuple[str, str | None]:
    """`Tool(pattern)` as its two parts; no pattern (None) when there are no brackets."""
    tool, bracket, rest = text.strip().partition("(")
    if not bracket:
        return tool, None
    return tool.strip(), rest.removesuffix(")").strip()


def _wide_command(
    pattern: str, prefix: bool, terms: RuleList, programs: Mapping[str, Program]
) -> Weakness | None:
    opened = prefix or _open(pattern)
    literal = pattern.strip().rstrip(_CUT).strip()
    if not literal or pattern.strip() in EVERYTHING:
        return _everything(pattern)
    words = literal.split()
    name = _program(literal)
    if "*" in words[0] or "?" in words[0]:
        return _everything(pattern)
    if not opened:
        return None
    if len(words) == 1 and _glued(pattern) and name not in programs:
        # `g*` is every program whose name begins so.
        name = next((known for known in sorted(programs) if known.startswith(name)), name)
    program = programs.get(name)
    if program is not None and not _narrowed(words[1:], program.safe):
        return _program_rule(pattern, name, program)
    if terms.splits == "no":
        return Weakness(
            "allow-prefix",
            Severity.HIGH,
            f"`{pattern}` lets `{literal}; rm -rf data` pass",
            "only the start of the line is looked at",
            "allow whole lines, or let Signoff decide by effect",
        )
    if terms.splits == "unknown" and _glued(pattern):
        return Weakness(
            "allow-prefix",
            Severity.MEDIUM,
            f"`{pattern}` also matches `{literal}` with anything behind it",
            "nothing separates the program's name from the rest",
            f"write `{literal} *`",
        )
    return None


def _program_rule(pattern: str, name: str, program: Program) -> Weakness:
    if program.kind == "code":
        return Weakness(
            "allow-code",
            Severity.HIGH,
            f"`{pattern}` lets anything run: {name} {program.example}",
            "a program that runs other programs makes every other rule worthless",
            "allow the exact lines that are needed",
        )
    return Weakness(
        "allow-destructive",
        Severity.HIGH,
        f"`{pattern}` lets what cannot be taken back pass: {name} {program.example}",
        "the rule names the program, not what it does",
        "allow the reading subcommands, and let Signoff decide about the others",
    )


def _wide_expression(
    text: str, programs: Mapping[str, Program], *, anchored: bool = False, chained: bool = True
) -> Weakness | None:
    try:
        expression = re.compile(text)
    except re.error as error:
        return Weakness(
            "not-understood",
            Severity.MEDIUM,
            f"`{text}` is no expression this audit can read",
            str(error).lower(),
            "look at the rule by hand",
        )
    hit = expression.fullmatch if anchored else expression.search
    passed = [line for line in DANGEROUS if hit(line)]
    if len(passed) == len(DANGEROUS):
        return _everything(text)
    if passed:
        return Weakness(
            "allow-destructive",
            Severity.HIGH,
            f"`{text}` lets `{passed[0]}` pass",
            "the rule names the program, not what it does",
            "allow the reading subcommands, and let Signoff decide about the others",
        )
    for line in _chained(text, programs) if chained else ():
        if hit(line):
            return Weakness(
                "allow-prefix",
                Severity.HIGH,
                f"`{text}` lets `{line}` pass",
                "the open end of the expression takes in a second command",
                "end it with `[^;&|$`<>]*` or with the exact arguments",
            )
    return None


def _chained(text: str, programs: Mapping[str, Program]) -> Iterable[str]:
    literal = ""
    for letter in text.lstrip("^"):
        if not (letter.isalnum() or letter in " -_/"):
            break
        literal += letter
    start = literal.strip()
    if start:
        yield f"{start}; rm -rf data"
        yield f"{start} x; rm -rf data"
    for name, program in programs.items():
        for safe in program.safe:
            yield f"{name} {safe.replace('*', 'x')}; rm -rf data"


def _narrow_expression(text: str, terms: RuleList) -> Weakness | None:
    try:
        expression = re.compile(text)
    except re.error as error:
        return _useless(f"`{text}` is no expression", str(error).lower())
    hit = expression.fullmatch if terms.anchored else expression.search
    stopped = [line for line in DANGEROUS if hit(line)]
    for line in stopped:
        if not hit(f"cd /srv && {line}"):
            return _useless(
                f"`{text}` stops `{line}` and lets `cd /srv && {line}` pass",
                "the expression has to match the whole line",
                next_step=f"write `.*{text.lstrip('^')}.*`, and deny by effect in Signoff",
            )
    if not stopped and terms.anchored and any(hit(line.split()[0]) for line in DANGEROUS):
        return _useless(
            f"`{text}` matches the bare program alone",
            "with any argument the line is another one",
            next_step=f"write `.*{text}.*`",
        )
    return None


def _wide_tool(text: str, terms: RuleList, own: str) -> Weakness | None:
    tool, pattern = call_parts(text)
    if text in EVERYTHING or tool in EVERYTHING:
        return _everything(text)
    if _among(tool, terms.shell):
        return _everything(text)
    if _among(tool, terms.change):
        return Weakness(
            "allow-destructive",
            Severity.HIGH,
            f"`{text}` lets every call to the cloud pass without a question",
            "the rule names the tool, not what the call does",
            "remove it, and let Signoff decide by effect",
        )
    whole = pattern is None or pattern in EVERYTHING
    outside = pattern is not None and pattern.startswith(("//", "~")) and pattern.endswith("*")
    if _among(tool, terms.write) and (whole or outside):
        return Weakness(
            "allow-write",
            Severity.MEDIUM,
            f"`{text}` lets any file be written without a question",
            "the agent's own settings and hooks are files too",
            "name the folders it works in",
        )
    if tool in terms.read and pattern is not None and (pattern in EVERYTHING or outside):
        return Weakness(
            "allow-read",
            Severity.MEDIUM,
            f"`{text}` lets every file of this user be read",
            "keys and credentials lie in the home directory",
            "name the folders it works in",
        )
    if terms.mcp and tool.startswith(terms.mcp) and _whole_server(tool, pattern, terms, own):
        return Weakness(
            "allow-mcp",
            Severity.MEDIUM,
            f"`{text}` lets every tool of that server pass, also those it adds later",
            "a server's tools are whatever it says today",
            "name the tools",
        )
    return None


def _among(tool: str, names: tuple[str, ...]) -> bool:
    """Whether a tool's name, which may be a pattern, is or matches one of the names."""
    return any(fnmatchcase(name, tool) for name in names)


def _whole_server(tool: str, pattern: str | None, terms: RuleList, own: str) -> bool:
    name = tool.removeprefix(terms.mcp)
    if pattern is not None:
        server, _, member = pattern.partition(":")
        return server != own and member in ("", "*")
    for separator in ("__", "/"):
        server, found, member = name.partition(separator)
        if found:
            return server != own and member in ("", "*")
    return name != own


def _known_tool(tool: str, terms: RuleList) -> bool:
    return tool in terms.tools or "*" in tool or bool(terms.mcp and tool.startswith(terms.mcp))


def _narrowed(words: list[str], safe: Iterable[str]) -> bool:
    """Whether the words go on with one of the reading subcommands."""
    for row in safe:
        wanted = row.split()
        if len(words) >= len(wanted) and all(
            fnmatchcase(word.rstrip("*"), want) and not word.startswith("*")
            for word, want in zip(words, wanted, strict=False)
        ):
            return True
    return False


def _program(pattern: str) -> str:
    """The program's bare name: of `/usr/bin/git:*` it is `git`."""
    words = pattern.split()
    return words[0].rstrip(_CUT).rpartition("/")[2] if words else ""


def _open(pattern: str) -> bool:
    return pattern.rstrip().endswith("*")


def _glued(pattern: str) -> bool:
    """Whether the wildcard follows the last letter without a blank or a colon."""
    text = pattern.rstrip()
    return text.endswith("*") and text[-2:-1] not in (" ", ":", "*", "")


def _absolute(pattern: str) -> bool:
    top = pattern.split("/")[1] if pattern.startswith("/") and "/" in pattern[1:] else ""
    return top in ("etc", "home", "root", "usr", "var", "Users", "opt", "srv", "tmp")


def _everything(text: str) -> Weakness:
    return Weakness(
        "allow-everything",
        Severity.CRITICAL,
        f"`{text}` lets every call pass without a question",
        "no other rule or prompt is ever reached",
        "remove it, and allow the exact lines that are needed",
    )


def _useless(says: str, why: str, next_step: str = "") -> Weakness:
    return Weakness("deny-useless", Severity.MEDIUM, says, why, next_step or "correct the rule")
