"""Whether the hook that should guard an agent is there, sees every call, and fails closed."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from signoff.audit.agents.knowledge import Agent, HookList
from signoff.audit.agents.places import Ground
from signoff.audit.agents.reading import Settings
from signoff.audit.agents.tree import Found, Node, lead
from signoff.audit.findings import Finding, Severity, Where

INTERPRETERS = ("sh", "bash", "zsh", "dash", "python", "python3", "node", "deno", "bun", "ruby")
OWN = "signoff"


@dataclass(frozen=True, slots=True)
class Handler:
    """One registered hook: its settings file, how such hooks are written, and the node."""

    settings: Settings
    terms: HookList
    found: Found
    command: str

    @property
    def is_own(self) -> bool:
        """Whether it is `signoff hook AGENT`."""
        words = [w.rpartition("/")[2] for w in split(self.command)]
        return any(pair == (OWN, "hook") for pair in pairwise(words))

    @property
    def where(self) -> Where:
        """The file and line."""
        return Where(str(self.settings.path), self.found.node.line, self.found.key)

    def member(self, name: str) -> Node | None:
        """A member of the handler; `^name` is looked up in the objects around its list, the
        nearest first, `name.inner` inside a member."""
        if name.startswith("^"):
            for parent in reversed(self.found.parents):
                if name[1:] in parent.members:
                    return parent.members[name[1:]]
            return None
        first = next(lead(self.found.node, name), None) if name else None
        return first.node if first else None


def handlers(agent: Agent, files: Iterable[Settings]) -> Iterator[Handler]:
    """Every hook of the agent's settings that runs before a tool call."""
    for settings in files:
        if settings.tree is None:
            continue
        for terms in agent.hooks:
            if settings.source.role not in terms.roles:
                continue
            for found in lead(settings.tree, terms.key):
                handler = Handler(settings, terms, found, _command(found.node, terms))
                event = handler.member(terms.event)
                if terms.event and (event is None or event.text not in terms.events):
                    continue
                yield handler


def judge_hooks(agent: Agent, files: list[Settings], ground: Ground) -> Iterator[Finding]:
    """What is wrong with an agent's hooks, and whether Signoff's own is among them."""
    found = list(handlers(agent, files))
    for handler in found:
        yield from _judge(agent, handler, ground)
    own = [h for h in found if h.is_own and not _off(h)]
    yield from _registered(agent, files, own, ground)


def _judge(agent: Agent, handler: Handler, ground: Ground) -> Iterator[Finding]:
    terms = handler.terms
    if _off(handler):
        if handler.is_own:
            yield _finding(
                agent,
                handler,
                "hook-disabled",
                Severity.HIGH,
                "the hook is registered and switched off",
                "nothing asks Signoff before a call",
                "switch it on",
            )
        return
    yield from _failing_open(agent, handler)
    kind = handler.member(terms.kind)
    if kind is not None and kind.text in terms.kind_open and not terms.closed:
        yield _finding(
            agent,
            handler,
            "hook-fails-open",
            Severity.HIGH,
            f"a hook of type `{kind.text}` lets the call pass when nobody answers",
            "stopping the guard is enough to get round it",
            "use a command hook",
        )
    yield from _command_findings(agent, handler, ground)
    if handler.is_own and terms.matcher:
        yield from _matching(agent, handler)


def _failing_open(agent: Agent, handler: Handler) -> Iterator[Finding]:
    terms = handler.terms
    if terms.closed and not _closed(handler):
        wanted = f"`{terms.closed}: {_shown(terms.closed_is)}`"
        yield _finding(
            agent,
            handler,
            "hook-fails-open",
            Severity.HIGH,
            f"the hook fails open: {wanted} is not set",
            "a crash, a time-out or a missing program lets the call run",
            f"add {wanted} to the handler",
        )
    waits = handler.member("async")
    if waits is not None and waits.value is True:
        yield _finding(
            agent,
            handler,
            "hook-async",
            Severity.HIGH,
            "the hook runs beside the call instead of before it",
            "its answer comes when the call is over",
            "remove `async`",
        )
    if terms.timeout and terms.timeout_opens and not (terms.closed and _closed(handler)):
        yield from _timing(agent, handler)


def _timing(agent: Agent, handler: Handler) -> Iterator[Finding]:
    terms, node = handler.terms, handler.member(handler.terms.timeout)
    given = node.value if node is not None else terms.default
    if not isinstance(given, (int, float)) or isinstance(given, bool) or given >= terms.least:
        return
    said = f"`{terms.timeout}` is {given} {terms.unit}"
    if node is None:
        told = f"the default is {given} {terms.unit}" if given >= 0 else "its default is not known"
        said = f"`{terms.timeout}` is not set; {told}"
    yield _finding(
        agent,
        handler,
        "hook-timeout",
        Severity.HIGH,
        f"the hook lets the call pass when it runs out of time: {said}",
        "a hold waits for people; the agent does not",
        f"set `{terms.timeout}` to {terms.least} or more ({terms.unit})",
    )


def _command_findings(agent: Agent, handler: Handler, ground: Ground) -> Iterator[Finding]:
    words = split(handler.command)
    if not words:
        return
    if swallows(handler.command):
        yield _finding(
            agent,
            handler,
            "hook-swallows",
            Severity.HIGH,
            f"`{handler.command}` ends well whatever the hook says",
            "its exit code is how it stops a call",
            "remove what follows the hook's own command",
        )
    yield from _exit_codes(agent, handler, ground, words)
    for at, word in enumerate(words[:2]):
        if at and (words[0].rpartition("/")[2] not in INTERPRETERS or word.startswith("-")):
            break
        yield from _program(agent, handler, ground, word)


def _exit_codes(
    agent: Agent, handler: Handler, ground: Ground, words: list[str]
) -> Iterator[Finding]:
    """A hook that means to stop a call with an exit code that does not."""
    terms = handler.terms
    if not terms.blocks or (terms.closed and _closed(handler)) or handler.is_own:
        return
    lines = [handler.command, *(line for w in words[:2] for line in ground.script(w).splitlines())]
    wrong = {code for line in lines for code in exit_codes(line)} - {0, *terms.blocks}
    if wrong:
        code = min(wrong)
        yield _finding(
            agent,
            handler,
            "hook-exit-code",
            Severity.HIGH,
            f"the hook ends with exit code {code}, which lets the call run",
            f"only {', '.join(map(str, terms.blocks))} stops it; others are warnings",
            f"exit with {terms.blocks[0]} and say why on stderr",
        )


def _program(agent: Agent, handler: Handler, ground: Ground, word: str) -> Iterator[Finding]:
    inside = word.startswith(("./", "../", "$", "%")) or (
        "/" in word and not word.startswith(("/", "~/"))
    )
    if inside or _below(word, ground):
        yield _finding(
            agent,
            handler,
            "hook-writable",
            Severity.HIGH,
            f"the hook's program `{word}` lies in the work tree",
            "the agent can rewrite what guards it",
            "name a program outside every work tree by its whole path",
        )
        return
    seen = ground.program(word)
    if not seen.path:
        yield _finding(
            agent,
            handler,
            "hook-missing-program",
            Severity.HIGH,
            f"the hook's program `{word}` is not there",
            "most agents let the call pass when a hook cannot start",
            "install it, or correct the path",
        )
    elif seen.writable:
        yield _finding(
            agent,
            handler,
            "hook-writable",
            Severity.HIGH,
            f"somebody else than its owner can change the hook's program `{word}`",
            seen.writable,
            "chown root and chmod 755 the program and every folder above it",
        )


def _below(word: str, ground: Ground) -> bool:
    return word.startswith("/") and word.startswith(f"{ground.project}/")


def _matching(agent: Agent, handler: Handler) -> Iterator[Finding]:
    node = handler.member(handler.terms.matcher)
    text = node.text if node is not None else ""
    if text not in handler.terms.everything:
        yield _finding(
            agent,
            handler,
            "hook-partial",
            Severity.MEDIUM,
            f"the hook sees only calls that match `{text}`",
            "another tool does the same work (a script, an MCP server, a sub-agent)",
            f"set the matcher to `{handler.terms.everything[1]}`",
        )


def _registered(
    agent: Agent, files: list[Settings], own: list[Handler], ground: Ground
) -> Iterator[Finding]:
    if not agent.hook:
        return
    if agent.plugin:
        own_files = [s for s in files if s.source.role == "plugin" and OWN in s.text]
        if not own_files:
            yield _missing(agent, files, ground, "")
        return
    each = {role for terms in agent.hooks if terms.each for role in terms.roles}
    for settings in files:
        if settings.source.role in each and not any(h.settings is settings for h in own):
            yield _missing(agent, files, ground, "", settings)
    if not own:
        if not any(s.source.role in each for s in files):
            yield _missing(agent, files, ground, "")
        return
    for terms in agent.hooks:
        lacking = [e for e in terms.needs if not any(f".{e}" in f".{h.found.key}" for h in own)]
        if lacking:
            yield _missing(agent, files, ground, ", ".join(f"`{e}`" for e in lacking))
    managed = any(s.scope == "managed" and s.role in _hook_roles(agent) for s in agent.sources)
    if managed and not any(h.settings.source.scope == "managed" for h in own):
        yield _finding(
            agent,
            own[0],
            "hook-removable",
            Severity.MEDIUM,
            "the hook stands in a file the agent's own user can write",
            "an agent that edits its settings removes its guard",
            f"register it in `{_place(agent, ground)}`, owned by root",
        )


def _hook_roles(agent: Agent) -> set[str]:
    return {role for terms in agent.hooks for role in terms.roles}


def _missing(
    agent: Agent,
    files: list[Settings],
    ground: Ground,
    events: str,
    inside: Settings | None = None,
) -> Finding:
    what = f"no Signoff hook on {events}" if events else "no Signoff hook is registered"
    return Finding(
        Severity.HIGH,
        agent.title,
        what,
        "nothing asks Signoff before a call; only `signoff run` would contain it",
        "start it with `signoff run`, which needs no hook, and audit with `--no-hook`",
        Where(str(inside.path), 1) if inside else Where(_place(agent, ground), 0),
        tuple(str(s.path) for s in files if s.source.role in _hook_roles(agent)),
        "hook-missing",
    )


def _place(agent: Agent, ground: Ground) -> str:
    """The file a hook belongs in: the machine owner's where the agent has one."""
    roles = {"plugin"} if agent.plugin else _hook_roles(agent)
    for scope in ("managed", "user", "project"):
        for source in agent.sources:
            if source.scope == scope and source.role in roles and "*" not in source.path:
                return str(ground.expected(source))
    return str(ground.named(agent.hook_file))


def _finding(
    agent: Agent,
    handler: Handler,
    check: str,
    severity: Severity,
    what: str,
    why: str,
    next_step: str,
) -> Finding:
    return Finding(severity, agent.title, what, why, next_step, handler.where, (), check)


def _off(handler: Handler) -> bool:
    node = handler.member(handler.terms.switch)
    return node is not None and node.value not in handler.terms.switch_on


def _closed(handler: Handler) -> bool:
    node = handler.member(handler.terms.closed)
    return node is not None and node.value in handler.terms.closed_is


def _command(node: Node, terms: HookList) -> str:
    for name in terms.command:
        first = next(lead(node, name), None)
        if first is not None and first.node.text:
            return first.node.text
        if first is not None and first.node.elements:
            return shlex.join(e.text for e in first.node.elements)
    return ""


def _shown(values: tuple[object, ...]) -> str:
    value = values[0] if values else ""
    return str(value).lower() if isinstance(value, bool) else f'"{value}"'


def split(command: str) -> list[str]:
    """The words of a shell line, operators as words of their own; by blanks when it has
    unbalanced quotes."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        return list(lexer)
    except ValueError:
        return command.split()


def swallows(command: str) -> bool:
    """Whether a line ends well although its first command failed: `x || true`, `x; exit 0`,
    `x | cat`, `x &`. `x || exit 2` does not: it makes every failure a stop."""
    words = split(command)
    for at, word in enumerate(words):
        if not word or not set(word) <= set(";|&") or word == "&&":
            continue
        after = words[at + 1 : at + 3]
        if not (word == "||" and len(after) == 2 and after[0] == "exit" and _number(after[1]) > 0):
            return True
    return False


def exit_codes(line: str) -> set[int]:
    """The exit codes a line of a shell, Python or JavaScript program ends with."""
    found = set()
    text = line.partition("#")[0].partition("//")[0]
    for call in ("sys.exit(", "process.exit(", "os._exit("):
        found |= {_number(part.partition(")")[0]) for part in text.split(call)[1:]}
    words = split(text)
    found |= {_number(after) for word, after in pairwise(words) if word == "exit"}
    return {code for code in found if code >= 0}


def _number(text: str) -> int:
    bare = text.strip().rstrip(";")
    return int(bare) if bare.isascii() and bare.isdigit() and len(bare) < 4 else -1
