"""What a run's session may do at AWS: a session policy made of verbs and one service.

A session policy narrows a role and never widens it: what is allowed is what both allow
(https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session). Each
session is for the calls of one service, so that the actions of the granted access levels fit
the 2,048 characters that AssumeRole takes
(https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html). What does not fit
is widened to the whole service, and said so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from signoff.model.effect import Verb
from signoff.model.errors import ConfigInvalid
from signoff.surfaces.aws.levels import PERMISSIONS, READS, actions_of, companions_of, iam_prefix

CHARACTERS_MOST = 2_048
LEVELS = frozenset({"Read", "List", "Write", "Tagging", PERMISSIONS})
_CHANGES = frozenset({"Write", "Tagging"})
_LEVELS: Mapping[str, frozenset[str]] = {
    Verb.READ.value: READS,
    Verb.PERMIT.value: READS | _CHANGES | {PERMISSIONS},
    Verb.DISCLOSE.value: LEVELS,
    Verb.UNKNOWN.value: LEVELS,
}
"""The access levels of a verb; every other verb writes, tags and reads."""

ORCHESTRATORS = frozenset({"cloudformation", "cloudcontrol", "servicecatalog", "ssm"})
"""Services that act on others with their caller's rights."""

_KEYS = ("CreateGrant", "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey*", "ReEncrypt*")
_NOTHING = {"Effect": "Deny", "Action": "*", "Resource": "*"}
_IDENTITIES = ("iam", "organizations", "account", "sso")
_READING = ("Get", "List", "Describe", "Generate", "Simulate", "Search")

Statement = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """The text AssumeRole is given. `widened` says in one line what it allows beyond the
    levels of its verbs; empty when nothing."""

    text: str
    widened: str = ""


def levels_of(verbs: Iterable[str]) -> frozenset[str]:
    """The access levels that the verbs need; none for no verb."""
    found: frozenset[str] = frozenset()
    for verb in verbs:
        found |= _LEVELS.get(verb, READS | _CHANGES)
    return found


def session_policy(
    service: str,
    verbs: frozenset[str],
    configured: str = "",
    *,
    signing_name: str = "",
    also: str = "",
) -> SessionPolicy:
    """The policy of one run's session for one botocore service; where nobody lists its
    actions under its own name, those of its signing name are meant.

    `also` is one operation that the story let through although its access level says more
    than the verbs do (a change set is written, and changes nothing). Without a verb the
    policy allows nothing. `configured` is the owners' own session policy (JSON):
    what that does not allow is not allowed here either. Raises `ConfigInvalid` when it is no
    policy.
    """
    levels, prefix = levels_of(verbs), iam_prefix(service)
    if signing_name and not actions_of(prefix):
        prefix = signing_name
    owners = _statements(configured) if configured else None
    if not levels:
        return SessionPolicy(_text([_NOTHING]))
    if service in ORCHESTRATORS and levels & _CHANGES:
        return _orchestrating(service, levels, owners, configured)
    known = actions_of(prefix)
    if owners is not None:
        return _intersected(prefix, levels, owners, configured, also)
    wanted = {name for name, level in known.items() if level in levels or name == also}
    return _first_that_fits(prefix, levels, wanted, known)


def _first_that_fits(
    prefix: str, levels: frozenset[str], wanted: set[str], known: Mapping[str, str]
) -> SessionPolicy:
    """The narrowest of a few texts that is short enough: its actions one by one, then the
    service without what is known to be of other levels, then the service."""
    others, keys = _others(prefix, levels), _keys(prefix)
    named = _patterns(prefix, wanted, known)
    refused = _patterns(prefix, set(known) - wanted, known)
    exact = _allow([*named, *others])
    whole, alone = _allow([f"{prefix}:*", *others]), _allow(named or [f"{prefix}:*"])
    without = {"Effect": "Deny", "Action": refused, "Resource": "*"}
    why = f"`{prefix}:*`, which does not fit otherwise" if known else f"`{prefix}:*`, unlisted"
    missing = "nothing, but the actions of other services that it needs do not fit"
    tries: list[tuple[list[Statement], str]] = [([exact, keys], "")] if named else []
    if refused:
        tries.append(([whole, keys, without], f"{why}, without what is of other levels"))
    tries += [([whole, keys], why), ([alone, keys], missing)]
    for statements, widened in tries:
        text = _text(statements)
        if len(text) <= CHARACTERS_MOST:
            return SessionPolicy(text, widened)
    return SessionPolicy(_text([_allow([f"{prefix}:*"])]), why)


def _orchestrating(
    service: str, levels: frozenset[str], owners: list[Statement] | None, configured: str
) -> SessionPolicy:
    """A service that acts on all others with these rights: everything but identities."""
    statements = [_allow(["*"])] if owners is None else list(owners)
    why = f"all services, because `{service}` acts on them with its caller's rights"
    if PERMISSIONS not in levels:
        statements.append({"Effect": "Deny", "Action": _identity_changes(), "Resource": "*"})
        why += "; no change of identities"
    text = _text(statements)
    if len(text) > CHARACTERS_MOST:
        return SessionPolicy(configured, f"{why}, as far as `aws.session_policy` goes")
    return SessionPolicy(text, why)


def _identity_changes() -> list[str]:
    """Patterns of what changes who may do what, `iam:PassRole` apart: stacks need that."""
    found: list[str] = []
    for prefix in _IDENTITIES:
        known = actions_of(prefix)
        changes = {n for n, level in known.items() if level not in READS and n != "PassRole"}
        words = {n for n in changes if not n.startswith(_READING)}
        found += _patterns(prefix, words, known)
    return found


def _intersected(
    prefix: str, levels: frozenset[str], owners: list[Statement], configured: str, also: str
) -> SessionPolicy:
    """What the levels and the owners' own policy both allow, statement by statement."""
    known = actions_of(prefix)
    wanted = {f"{prefix}:{n}" for n, level in known.items() if level in levels or n == also}
    wanted |= set(_others(prefix, levels)) | {f"kms:{n}" for n in _KEYS if "*" not in n}
    wanted |= {"kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"}
    statements: list[Statement] = []
    for owned in owners:
        named = {n for n in wanted if _matches(owned, n)}
        if not named:
            continue
        kept = {k: v for k, v in owned.items() if k not in ("Action", "NotAction", "Sid")}
        own = {n.partition(":")[2] for n in named if n.startswith(f"{prefix}:")}
        rest = sorted(n for n in named if not n.startswith(f"{prefix}:"))
        statements.append({**kept, "Action": _patterns(prefix, own, known) + rest})
    if not any(s["Effect"] == "Allow" for s in statements):
        statements = [_NOTHING]
    text = _text(statements)
    if len(text) <= CHARACTERS_MOST:
        return SessionPolicy(text)
    return SessionPolicy(configured, "what `aws.session_policy` allows, because no more fits")


def _others(prefix: str, levels: frozenset[str]) -> list[str]:
    """Actions of other services that these need, keys apart."""
    mine = (f"{prefix}:", "kms:")
    return sorted(n for n in companions_of(prefix, levels) if not n.startswith(mine))


def _keys(prefix: str) -> Statement:
    """Encrypting and decrypting, as far as the service asks for it on the session's behalf."""
    return {
        "Effect": "Allow",
        "Action": [f"kms:{name}" for name in _KEYS],
        "Resource": "*",
        "Condition": {"StringLike": {"kms:ViaService": f"{prefix}.*"}},
    }


def _allow(actions: list[str]) -> Statement:
    return {"Effect": "Allow", "Action": actions, "Resource": "*"}


def _patterns(prefix: str, wanted: set[str], known: Iterable[str]) -> list[str]:
    """The fewest `prefix:Begin*` and `prefix:Name` that match the wanted of the known actions
    and no other of them."""
    return sorted(f"{prefix}:{p}" for p in _cover("", sorted(known), wanted))


def _cover(begin: str, names: list[str], wanted: set[str]) -> list[str]:
    inside = [n for n in names if n in wanted]
    if not inside:
        return []
    if len(inside) == len(names):
        if len(names) == 1:
            return [names[0]]
        return [_common(names) + "*"]
    found = [begin] if begin in wanted else []
    letters = sorted({n[len(begin)] for n in names if len(n) > len(begin)})
    for letter in letters:
        longer = begin + letter
        found += _cover(longer, [n for n in names if n.startswith(longer)], wanted)
    return found


def _common(names: list[str]) -> str:
    first, last = min(names), max(names)
    for at, letter in enumerate(first):
        if letter != last[at]:
            return first[:at]
    return first


def _matches(statement: Statement, action: str) -> bool:
    named, without = _list(statement.get("Action")), _list(statement.get("NotAction"))
    if without:
        return not any(_like(p, action) for p in without)
    return any(_like(p, action) for p in named)


def _like(pattern: str, action: str) -> bool:
    # IAM knows `*` and `?` alone, and no case; a bracket is a letter like any other.
    plain = pattern.lower().replace("[", "[[]")
    return fnmatchcase(action.lower(), plain)


def _statements(configured: str) -> list[Statement]:
    try:
        given = json.loads(configured)["Statement"]
        rows = given if isinstance(given, list) else [given]
        for row in rows:
            if row["Effect"] not in ("Allow", "Deny") or not ({"Action", "NotAction"} & set(row)):
                raise ValueError("a statement without effect or action")
            if not all(isinstance(a, str) for a in _list(row.get("Action", row.get("NotAction")))):
                raise ValueError("an action that is no text")
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigInvalid(
            "`aws.session_policy` is not a policy", str(error).lower(), "correct the file"
        ) from error
    return [dict(row) for row in rows]


def _list(value: object) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def _text(statements: list[Statement]) -> str:
    document = {"Version": "2012-10-17", "Statement": statements}
    return json.dumps(document, separators=(",", ":"))
