"""Values as the lines people read: the card, holds, the log, status, a summary. Pure.

What comes from an agent or from the world is shown as text and can never move the
cursor, hide a word or colour itself: every name passes `safe`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

Paint = Callable[[str, str], str]
"""Colours a text: `paint("red", text)`. Colour is never the only sign of anything."""


def plain(colour: str, text: str) -> str:
    """No colour at all: for pipes, files and `NO_COLOR`."""
    return text


def safe(value: object, most: int = 2100) -> str:
    """The text with everything that is not printable escaped, and cut at `most` characters.

    Escapes control characters, line breaks, direction marks and invisible joiners.
    """
    text = value if isinstance(value, str) else str(value)
    text = text if len(text) <= most else text[: most - 3] + "..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def moment(ms: object) -> str:
    """Milliseconds since the epoch as `2026-11-22 18:51:07Z`."""
    if not isinstance(ms, int) or not 0 <= ms < 253_402_300_800_000:
        return "?"
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def span(ms: int) -> str:
    """A length of time in its largest fitting unit: `45 s`, `12 min`, `3 h`, `2 d`."""
    seconds = max(0, ms // 1000)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size - size // 2:
            return f"{(seconds + size // 2) // size} {unit}"
    return f"{seconds} s"


# The card.


def card(
    payload: Mapping[str, object], shown: Mapping[str, object], now_ms: int, paint: Paint = plain
) -> list[str]:
    """The card of a hold: what is signed (`payload`) and what explains it (`shown`).

    The first line, the effects, bounds, environment, reversibility, plan, quorum,
    requester and expiry come from the signed payload; action, residue and the safer way
    from the card, whose digest is in the payload.
    """
    targets = _objects(payload.get("targets"))
    verdict = safe(payload.get("verdict", ""))
    lines = [
        _row("held", f"{safe(shown.get('action', '?'))}  {_scope(shown)}".rstrip())
        + f"   ticket {safe(payload.get('hold', '?'))}"
    ]
    if verdict:
        lines.append(_row("to sign", paint("bold", verdict.upper())))
    lines += _block("effects", [_target(t, paint) for t in targets] or ["nothing that is known"])
    lines += _block("unknown", [paint("red", safe(u)) for u in _texts(payload.get("unknown"))])
    lines += _block("undo", _undo(targets, shown, paint))
    lines += configuration(shown.get("public"))
    lines += _block("plan", [_plan_step(text) for text in _texts(payload.get("plan"))])
    if shown.get("safer"):
        lines.append(_row("safer", safe(shown["safer"])))
    lines += _block("level", [safe(shown["level"])] if shown.get("level") else [])
    lines.append(_row("asked by", _asker(payload)))
    quorum = payload.get("quorum", 0)
    lines.append(_row("needs", _people(quorum) + _signed(shown)))
    expires = payload.get("expires_ms")
    left = f", {span(expires - now_ms)} left" if isinstance(expires, int) else ""
    lines.append(_row("expires", moment(expires) + left))
    return lines


def configuration(public: object) -> list[str]:
    """What a change of the configuration would change, in the words of the daemon: each
    setting, what would be ruled differently, and what was proved of it."""
    if not isinstance(public, Mapping) or "configuration" not in public:
        return []
    lines = _block("changes", [safe(t) for t in _texts(public.get("changes"))] or ["no setting"])
    lines += _block("rulings", [safe(t) for t in _texts(public.get("rulings"))])
    return lines + _block("proof", [safe(public["proof"])] if public.get("proof") else [])


def _asker(payload: Mapping[str, object]) -> str:
    """An agent with its run and operator; or, when no agent asked, the human who did."""
    operator = safe(payload.get("operator", "?"))
    if payload.get("agent") == "" and payload.get("run") == "":
        return operator
    run = safe(payload.get("run", "?"))
    return f"{safe(payload.get('agent', '?'))}, run {run}, on behalf of {operator}"


def _undo(
    targets: Sequence[Mapping[str, object]], shown: Mapping[str, object], paint: Paint
) -> list[str]:
    lost = [
        f"{safe(e.get('resource', '?'))}: NOT covered: {safe(e['residue'])}"
        for e in _objects(shown.get("effects"))
        if e.get("residue")
    ]
    classes = {str(t.get("reversibility")) for t in targets}
    rank = ("none", "degraded", "bounded", "exact")
    weakest = next((name for name in rank if name in classes), "none")
    head = {
        "exact": "comes back exactly",
        "bounded": "comes back, within stated bounds",
        "degraded": "comes back in part",
        "none": "CANNOT be taken back",
    }[weakest]
    return [paint("red" if weakest == "none" else "", head), *(paint("red", x) for x in lost)]


def _target(target: Mapping[str, object], paint: Paint) -> str:
    bounds = ", ".join(_bound(b) for b in _objects(target.get("bound")))
    verb = f"{safe(target.get('verb', '?')):<8}"
    where = f"[{safe(target.get('environment', '?'))}]"
    text = f"{verb} {safe(target.get('resource', '?'))}  {where}"
    counted = f"  {bounds}" if bounds else ""
    return f"{text}{counted}  {paint('', safe(target.get('reversibility', '?')))}"


def _bound(bound: Mapping[str, object]) -> str:
    most = bound.get("most")
    count = f"<= {most:,}" if isinstance(most, int) else "nobody knows how many"
    return f"{count} {safe(bound.get('unit', ''))}"


def _plan_step(text: str) -> str:
    name, _, rest = text.partition(" ")
    digest, _, more = rest.partition(" ")
    return f"{safe(name)} {safe(digest[:12])} {safe(more)}".rstrip()


def _scope(shown: Mapping[str, object]) -> str:
    scope = shown.get("scope")
    if not isinstance(scope, Mapping):
        return ""
    return " ".join(safe(v) for _, v in sorted(scope.items()))


def _signed(shown: Mapping[str, object]) -> str:
    names = [safe(s.get("human", "?")) for s in _objects(shown.get("signoffs"))]
    return f"; signed so far: {', '.join(names)}" if names else "; nobody signed yet"


def _people(quorum: object) -> str:
    return "one person" if quorum == 1 else f"{safe(quorum)} different people"


# Lists.


def hold_row(hold: Mapping[str, object], now_ms: int) -> str:
    """One line of `signoff holds`: ticket, action, agent, sign-offs, time left."""
    shown = hold.get("card")
    name = shown.get("action", "?") if isinstance(shown, Mapping) else hold.get("action", "?")
    expires = hold.get("expires_ms")
    left = span(expires - now_ms) if isinstance(expires, int) else "?"
    count = f"{len(_list(hold.get('signoffs')))} of {safe(hold.get('quorum', '?'))}"
    who = f"{safe(hold.get('agent', '?'))}/{safe(hold.get('run', '?'))}"
    state = safe(hold.get("state", "open"))
    ticket = safe(hold.get("ticket", "?"))
    return f"{ticket:<11} {state:<9} {safe(name):<36} {who:<24} {count:<7} {left} left"


def log_line(receipt: Mapping[str, object], paint: Paint = plain) -> str:
    """One receipt on one line: index, time, mark, who, what, ruling, effects."""
    who = receipt.get("principal")
    who = who if isinstance(who, Mapping) else {}
    name = f"{who.get('agent') or who.get('operator') or '-'}"
    if who.get("run"):
        name += f"/{who['run']}"
    action = receipt.get("action")
    what = safe(action.get("name", "?")) if isinstance(action, Mapping) else ""
    parts = [
        f"{safe(receipt.get('index', '?')):>7}",
        moment(receipt.get("time_ms")),
        paint(_MARK_COLOURS.get(str(receipt.get("mark")), ""), f"{safe(receipt.get('mark')):<9}"),
        f"{safe(name):<20}",
        what,
    ]
    decision = receipt.get("decision")
    if isinstance(decision, Mapping):
        parts.append(_ruling(decision, paint))
    detail = receipt.get("detail")
    if isinstance(detail, Mapping) and detail:
        worth = ((k, v) for k, v in sorted(detail.items()) if k not in _LONG and _worth(v))
        parts.append(" ".join(_detail(k, v) for k, v in worth))
    return "  ".join(p for p in parts if p).rstrip()


_LONG = frozenset({"message", "signature"})
"""Details that only a program reads: `--json` has them."""


def _worth(value: object) -> bool:
    """Whether a detail tells a reader anything on one line: no signatures, no empties."""
    return not isinstance(value, Mapping) and value not in (False, "", None, [], ())


def _detail(name: str, value: object) -> str:
    text = ",".join(str(v) for v in value) if isinstance(value, (list, tuple)) else value
    return f"{safe(name)}={safe(text, 60)}"


_MARK_COLOURS = {
    "in_doubt": "red",
    "conflict": "red",
    "stale": "red",
    "failed": "red",
    "held": "yellow",
    "rejected": "yellow",
}


def _ruling(decision: Mapping[str, object], paint: Paint) -> str:
    ruling = safe(decision.get("ruling", "?"))
    quorum = decision.get("quorum")
    text = f"{ruling} ({quorum})" if ruling == "hold" else ruling
    reasons = ", ".join(safe(r) for r in _list(decision.get("reasons")))
    colour = {"deny": "red", "hold": "yellow"}.get(ruling, "")
    return paint(colour, text) + (f" [{reasons}]" if reasons else "")


def explanation(answer: Mapping[str, object], paint: Paint = plain) -> list[str]:
    """What `signoff explain` says of one action, in the contract's members."""
    lines = [_row("ruling", _ruling({**answer, "reasons": []}, paint))]
    effects = [_target(e, paint) for e in _objects(answer.get("effects"))]
    lines += _block("effects", effects or ["none known"])
    lines += _block("unknown", [safe(u) for u in _texts(answer.get("unknown"))])
    obligations = ", ".join(safe(o) for o in _list(answer.get("obligations")))
    lines += _block("owes", [obligations] if obligations else [])
    reasons = ", ".join(safe(r) for r in _list(answer.get("reasons")))
    lines += _block("because", [reasons] if reasons else [])
    lines += _block("message", [safe(answer["message"])] if answer.get("message") else [])
    return lines


def undo_plan(plan: Mapping[str, object], paint: Paint = plain) -> list[str]:
    """What an undo would do, its conflicts and what will not be as it was."""
    actions = [_undo_action(a) for a in _list(plan.get("actions"))]
    lines = _block("undoes", actions or ["nothing"])
    lines += _block("effects", [_target(e, paint) for e in _objects(plan.get("effects"))])
    lines += _block("conflict", [paint("red", safe(c)) for c in _texts(plan.get("conflicts"))])
    return lines + _block("NOT back", [safe(r) for r in _texts(plan.get("residue"))])


def _undo_action(given: object) -> str:
    if not isinstance(given, Mapping):
        return safe(given)
    steps = ", ".join(safe(s) for s in _list(given.get("steps")))
    text = f"{safe(given.get('action', '?'))}  {safe(given.get('takes_back', ''))}".rstrip()
    if given.get("nothing_to_do"):
        return text + "  (already as before)"
    return text + (f"  by {steps}" if steps else "")


# Status and summaries.


def status(seen: Mapping[str, object], paint: Paint = plain) -> list[str]:
    """`signoff status`. Members that are absent are left out, never guessed.

    `daemon` (text), `profile`, `level`, `gates` ([{name, address, mode}]), `safeguard`,
    `bundle`, `ledger` ({size, root, anchored}), `holds` (count), `in_doubt` (list),
    `frozen`, `halted`, `lowered` (lists), `humans` (count), `warnings` (list).
    """
    lines = [_row("daemon", safe(seen.get("daemon", "running")))]
    for key in ("profile", "level"):
        lines += _block(key, [safe(seen[key])] if seen.get(key) else [])
    gates = []
    for gate in _objects(seen.get("gates")):
        mode = safe(gate.get("mode", "?"))
        told = paint("red", "OBSERVES: forwards everything") if mode == "observe" else mode
        level = f"  {safe(gate['level'])}" if gate.get("level") else ""
        gates.append(
            f"{safe(gate.get('name', '?'))}  {safe(gate.get('address', ''))}  {told}{level}"
        )
    lines += _block("gates", gates)
    guard = safe(seen.get("safeguard", ""))
    lines += _block("policy", [f"{safe(seen.get('bundle', ''))[:12]}  {guard}".strip()])
    lines += _sealed(seen.get("configuration"), paint)
    ledger = seen.get("ledger")
    if isinstance(ledger, Mapping):
        anchored = "anchored" if ledger.get("anchored") else paint("yellow", "unanchored")
        size = ledger.get("size")
        count = f"{size:,}" if isinstance(size, int) else "?"
        root = safe(ledger.get("root", ""))[:16]
        lines.append(_row("ledger", f"{count} receipts  root {root}  {anchored}"))
    if "holds" in seen:
        lines.append(_row("holds", f"{safe(seen['holds'])} open"))
    for key, colour in (("in_doubt", "red"), ("halted", "red"), ("frozen", "yellow")):
        told_of = [paint(colour, safe(v)) for v in _list(seen.get(key))]
        lines += _block(key.replace("_", " "), told_of)
    lines += _block("lowered", [paint("red", safe(v)) for v in _list(seen.get("lowered"))])
    return lines + _block("warning", [paint("red", safe(v)) for v in _list(seen.get("warnings"))])


def _sealed(found: object, paint: Paint) -> list[str]:
    """Which configuration is in force, and in red how the files differ from it."""
    if not isinstance(found, Mapping) or not found.get("digest"):
        return []
    text = f"{safe(found['digest'])[:12]}  sealed {moment(found.get('sealed_ms'))}"
    how = safe(found.get("how", ""))
    lines = [_row("config", f"{text}, {paint('red' if found.get('doubtful') else '', how)}")]
    differs = [paint("red", safe(t)) for t in _texts(found.get("differs"))]
    if differs:
        differs.append(paint("red", "what is sealed goes on; next: signoff apply"))
    return lines + _block("DIFFERS", differs)


def summary(rulings: Iterable[Mapping[str, object]]) -> str:
    """What `up` says at exit: `214 actions: 207 untouched, 5 undoable, 2 would need two people`.

    Each item has `ruling`, `quorum`, and `changed` (False for reads and the harmless).
    An observed action counts by what it would have needed.
    """
    counts = {"untouched": 0, "undoable": 0, "one": 0, "two": 0, "denied": 0}
    for item in rulings:
        ruling, quorum = item.get("ruling"), item.get("quorum")
        if ruling == "deny":
            counts["denied"] += 1
        elif ruling == "hold":
            counts["one" if quorum == 1 else "two"] += 1
        else:
            counts["undoable" if item.get("changed") else "untouched"] += 1
    parts = [f"{counts['untouched']:,} untouched", f"{counts['undoable']:,} undoable"]
    for key, text in (("one", "one person"), ("two", "two people")):
        if counts[key]:
            parts.append(f"{counts[key]:,} would need {text}")
    if counts["denied"]:
        parts.append(f"{counts['denied']:,} would be denied")
    total = sum(counts.values())
    return f"{total:,} {'action' if total == 1 else 'actions'}: {', '.join(parts)}"


# Rows.


def _row(name: str, text: str) -> str:
    return f"{name:<9} {text}"


def _block(name: str, lines: Sequence[str]) -> list[str]:
    # Nothing is left out, however long the list: people sign what stands here.
    return [_row(name if i == 0 else "", text) for i, text in enumerate(lines)]


def _objects(value: object) -> list[Mapping[str, object]]:
    return [v for v in _list(value) if isinstance(v, Mapping)]


def _texts(value: object) -> list[str]:
    return [v for v in _list(value) if isinstance(v, str)]


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, (list, tuple)) else []
