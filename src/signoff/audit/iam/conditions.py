"""Conditions: judged where the facts are known, told in words where they are not. Pure.

Three answers: yes, no, and `None` for what cannot be told. An unknown operator or a key that
is not in `KEYS` is named as not understood; on an Allow it makes nothing milder, on a Deny it
protects nothing.
Source: AWS IAM User Guide, "Condition operators", "Global condition context keys", and
"Multiple context keys or values".
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import datetime
from ipaddress import ip_address, ip_network

from signoff.audit.iam.documents import Clause
from signoff.audit.iam.globs import matches

Context = Mapping[str, tuple[str, ...]]
"""What is known of a request: values by key in lower case. `()` says the key is absent."""

KEYS: Mapping[str, str] = {
    "aws:requestedregion": "the region",
    "aws:resourcetag/": "a tag of the resource",
    "ec2:resourcetag/": "a tag of the resource",
    "aws:requesttag/": "a tag in the request",
    "aws:tagkeys": "the tags in the request",
    "aws:principaltag/": "a tag of the caller",
    "aws:principalarn": "the caller",
    "aws:principalaccount": "the caller's account",
    "aws:principalorgid": "the caller's organization",
    "aws:principaltype": "the kind of caller",
    "aws:userid": "the caller",
    "aws:username": "the caller",
    "aws:sourceip": "the address called from",
    "aws:vpcsourceip": "the address called from",
    "aws:sourcevpc": "the network called from",
    "aws:sourcevpce": "the network endpoint called from",
    "aws:multifactorauthpresent": "a second factor",
    "aws:multifactorauthage": "the age of the second factor",
    "aws:securetransport": "TLS",
    "aws:currenttime": "the time",
    "aws:epochtime": "the time",
    "aws:tokenissuetime": "when the credentials were issued",
    "aws:calledvia": "the service called through",
    "aws:calledviafirst": "the service called through",
    "aws:calledvialast": "the service called through",
    "aws:viaawsservice": "whether a service calls",
    "aws:principalisawsservice": "whether a service calls",
    "aws:sourceaccount": "the account of the calling service",
    "aws:sourcearn": "the resource a service calls for",
    "aws:resourceaccount": "the resource's account",
    "aws:resourceorgid": "the resource's organization",
    "aws:sourceidentity": "the source identity",
    "aws:useragent": "the caller's own words",
    "aws:referer": "the caller's own words",
    "iam:passedtoservice": "the service a role is passed to",
    "iam:permissionsboundary": "the boundary set",
    "iam:awsservicename": "the service a role is made for",
    "iam:policyarn": "the policy attached",
    "sts:externalid": "the external id",
    "sts:rolesessionname": "the session's name",
    "s3:prefix": "the listed prefix",
    "s3:x-amz-server-side-encryption": "the encryption asked for",
    "kms:viaservice": "the service called through",
    "kms:granteeprincipal": "the grantee",
    "dynamodb:leadingkeys": "the partition keys",
}
"""The keys that are understood, and what each is about; `/` at the end takes any rest."""


def about(key: str) -> str:
    """What a key is about, in words; empty when it is not understood."""
    lower = key.lower()
    prefix = lower.partition("/")[0] + "/"
    return KEYS.get(lower) or (KEYS.get(prefix, "") if "/" in lower else "")


def operator_of(text: str) -> tuple[str, str, bool]:
    """(operator in lower case without its additions, `any`, `all` or empty, IfExists)."""
    name, quantifier = text.lower(), ""
    for word, meaning in (("foranyvalue:", "any"), ("forallvalues:", "all")):
        if name.startswith(word):
            name, quantifier = name[len(word) :], meaning
    if_exists = name.endswith("ifexists")
    return (name[:-8] if if_exists else name), quantifier, if_exists


def understood(clause: Clause) -> bool:
    """Whether both the operator and the key are ones this module knows."""
    name = operator_of(clause.operator)[0]
    return (name == "null" or name in _OPERATORS) and bool(about(clause.key))


def negated(clause: Clause) -> bool:
    """Whether the operator says what a value must not be."""
    name = operator_of(clause.operator)[0]
    return "not" in name


def holds(clause: Clause, context: Context) -> bool | None:
    """Whether a clause is true of a request; None when the context does not say.

    A key that is missing from the context is unknown; one that maps to `()` is absent.
    """
    name, quantifier, if_exists = operator_of(clause.operator)
    given = context.get(clause.key.lower())
    if given is None:
        return None
    if name == "null":
        return any((v.lower() == "true") is (not given) for v in clause.values)
    if name not in _OPERATORS or any("${" in v for v in clause.values):
        return None
    if not given:
        # An absent key: IfExists, ForAllValues and negated operators are true of it.
        return if_exists or quantifier == "all" or (negated(clause) and quantifier != "any")
    compare = _OPERATORS[name]
    try:
        each = [_one(compare, negated(clause), v, clause.values) for v in given]
    except (ValueError, ArithmeticError, binascii.Error):
        return None
    return all(each) if quantifier == "all" else any(each)


def _one(
    compare: Callable[[str, str], bool], negative: bool, value: str, wanted: tuple[str, ...]
) -> bool:
    found = any(compare(w, value) for w in wanted)
    return not found if negative else found


def in_words(clause: Clause) -> str:
    """The clause as a reader says it: `if a second factor is true`."""
    subject = about(clause.key)
    name = operator_of(clause.operator)[0]
    values = " or ".join(f"`{v}`" for v in clause.values[:4])
    more = f" (and {len(clause.values) - 4} more)" if len(clause.values) > 4 else ""
    if not understood(clause):
        return f"condition `{clause.operator}` on `{clause.key}`, which is not understood"
    if name == "null":
        there = "is absent" if clause.values == ("true",) else "is present"
        return f"if {subject} (`{clause.key}`) {there}"
    verb = "is not" if negated(clause) else "is"
    return f"if {subject} (`{clause.key}`) {verb} {values}{more}"


def _number(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    return lambda wanted, value: compare(float(value), float(wanted))


def _date(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    return lambda wanted, value: compare(_moment(value), _moment(wanted))


def _moment(text: str) -> float:
    if text.replace(".", "", 1).isdigit():
        return float(text)
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        moment = datetime.fromisoformat(f"{text}+00:00")
    return moment.timestamp()


def _address(wanted: str, value: str) -> bool:
    return ip_address(value) in ip_network(wanted, strict=False)


def _arn(wanted: str, value: str) -> bool:
    # Each of the first five parts of an ARN is matched for itself; the sixth takes the rest.
    pattern, text = wanted.split(":", 5), value.split(":", 5)
    return len(pattern) == len(text) == 6 and all(map(matches, pattern, text))


def _bytes(wanted: str, value: str) -> bool:
    return base64.b64decode(wanted, validate=True) == base64.b64decode(value, validate=True)


def _same(wanted: str, value: str) -> bool:
    return wanted == value


def _same_any_case(wanted: str, value: str) -> bool:
    return wanted.lower() == value.lower()


_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "stringequals": _same,
    "stringnotequals": _same,
    "stringequalsignorecase": _same_any_case,
    "stringnotequalsignorecase": _same_any_case,
    "stringlike": matches,
    "stringnotlike": matches,
    "numericequals": _number(lambda a, b: a == b),
    "numericnotequals": _number(lambda a, b: a == b),
    "numericlessthan": _number(lambda a, b: a < b),
    "numericlessthanequals": _number(lambda a, b: a <= b),
    "numericgreaterthan": _number(lambda a, b: a > b),
    "numericgreaterthanequals": _number(lambda a, b: a >= b),
    "dateequals": _date(lambda a, b: a == b),
    "datenotequals": _date(lambda a, b: a == b),
    "datelessthan": _date(lambda a, b: a < b),
    "datelessthanequals": _date(lambda a, b: a <= b),
    "dategreaterthan": _date(lambda a, b: a > b),
    "dategreaterthanequals": _date(lambda a, b: a >= b),
    "bool": _same_any_case,
    "binaryequals": _bytes,
    "ipaddress": _address,
    "notipaddress": _address,
    "arnequals": _arn,
    "arnlike": _arn,
    "arnnotequals": _arn,
    "arnnotlike": _arn,
}
"""Each operator by what it compares: (what the policy wants, what the request has). The
negated ones compare alike and are turned round afterwards."""
