"""The IAM evaluator agrees with one that is not Signoff's, and the audit is never milder."""

from __future__ import annotations

import itertools
import json

from hypothesis import example, given, settings
from hypothesis import strategies as st
from moto.iam.access_control import IAMPolicy, PermissionResult

from signoff.audit.iam import actions
from signoff.audit.iam.conditions import Context
from signoff.audit.iam.documents import Layer, policy_of
from signoff.audit.iam.evaluate import Layers, Ruling, decide
from signoff.audit.iam.globs import covers, matches, overlaps
from signoff.audit.iam.powers import Ground, environments
from signoff.audit.iam.reach import Way, reach
from signoff.audit.iam.smaller import Names, smaller
from signoff.audit.iam.used import Used

ACCOUNT = "111122223333"
ACTIONS = (
    "s3:GetObject",
    "s3:DeleteObject",
    "s3:ListBucket",
    "dynamodb:Query",
    "dynamodb:DeleteTable",
    "rds:DeleteDBInstance",
    "iam:PassRole",
    "iam:PutRolePolicy",
    "ec2:DescribeInstances",
)
RESOURCES = (
    "*",
    "arn:aws:s3:::prod-data/a/b",
    "arn:aws:s3:::test-data/a",
    f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/prod-orders",
    f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/test-orders",
    f"arn:aws:rds:eu-west-1:{ACCOUNT}:db:prod",
    f"arn:aws:iam::{ACCOUNT}:role/deployer",
)
ACTION_PATTERNS = st.sampled_from(
    (
        *ACTIONS,
        "*",
        "s3:*",
        "s3:Get*",
        "dynamodb:*",
        "dynamodb:D*",
        "iam:P*",
        "*:*",
        "ec2:Describe*",
    )
)
RESOURCE_PATTERNS = st.sampled_from(
    (
        *RESOURCES,
        "arn:aws:s3:::*",
        "arn:aws:s3:::prod-*",
        "arn:aws:s3:::prod-data/*",
        "arn:aws:dynamodb:*:*:table/*",
        "arn:aws:dynamodb:eu-west-1:*:table/prod-*",
        "arn:aws:*",
        f"arn:aws:iam::{ACCOUNT}:role/*",
        "arn:aws:rds:*",
    )
)
PLAIN = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Allow", "Allow", "Deny"]),
        "names": st.lists(ACTION_PATTERNS, min_size=1, max_size=3),
        "negated": st.booleans(),
        "Resource": st.lists(RESOURCE_PATTERNS, min_size=1, max_size=3),
    }
)
CONDITIONS = st.sampled_from(
    (
        None,
        None,
        {"StringEquals": {"aws:RequestedRegion": ["eu-west-1"]}},
        {"StringNotEquals": {"aws:RequestedRegion": ["eu-west-1"]}},
        {"StringEquals": {"aws:ResourceTag/env": "test"}},
        {"StringNotEquals": {"aws:ResourceTag/env": "test"}},
        {"StringLike": {"aws:PrincipalTag/team": "we*"}},
        {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
        {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}},
        {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
        {"StringNotEqualsIfExists": {"aws:ResourceTag/env": "test"}},
        {"ForAllValues:StringEquals": {"aws:TagKeys": ["a"]}},
        {"SomethingNew": {"aws:RequestedRegion": "x"}},
    )
)
CONTEXTS = st.fixed_dictionaries(
    {
        "aws:requestedregion": st.sampled_from([("eu-west-1",), ("us-east-1",)]),
        "aws:resourcetag/env": st.sampled_from([(), ("test",), ("prod",)]),
        "aws:principaltag/team": st.sampled_from([("web",), ("ops",), ()]),
        "aws:multifactorauthpresent": st.sampled_from([(), ("true",), ("false",)]),
        "aws:sourceip": st.sampled_from([("10.1.2.3",), ("8.8.8.8",)]),
        "aws:tagkeys": st.sampled_from([(), ("a",), ("a", "b")]),
    }
)


def document(statements: list[dict[str, object]]) -> dict[str, object]:
    made = []
    for given_one in statements:
        one = dict(given_one)
        action = "NotAction" if one.pop("negated") else "Action"
        one[action] = one.pop("names")
        if one.pop("other_resource", False):
            one["NotResource"] = one.pop("Resource")
        if one.get("Condition", "") is None:
            del one["Condition"]
        made.append(one)
    return {"Version": "2012-10-17", "Statement": made}


def layers_of(*documents: dict[str, object]) -> Layers:
    kinds = (Layer.IDENTITY, Layer.BOUNDARY, Layer.SCP)
    read = [policy_of(d, "p", k).statements for d, k in zip(documents, kinds, strict=False)]
    return Layers(read[0], tuple(read[1:]))


@settings(max_examples=600, deadline=None)
@given(
    st.lists(PLAIN, min_size=1, max_size=5),
    st.sampled_from(ACTIONS),
    st.sampled_from(RESOURCES),
)
def test_the_evaluator_agrees_with_motos(
    statements: list[dict[str, object]], action: str, resource: str
) -> None:
    made = document(statements)
    theirs = IAMPolicy(json.dumps(made)).is_action_permitted(action, resource)
    ours = decide(layers_of(made), action, resource, {})
    assert (ours is Ruling.ALLOWED) == (theirs is PermissionResult.PERMITTED), made
    assert ours is not Ruling.PERHAPS


RICH = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Allow", "Deny"]),
        "names": st.lists(ACTION_PATTERNS, min_size=1, max_size=2),
        "negated": st.booleans(),
        "Resource": st.lists(RESOURCE_PATTERNS, min_size=1, max_size=2),
        "other_resource": st.sampled_from([False, False, True]),
        "Condition": CONDITIONS,
    }
)
BY_SERVICE = {
    service: tuple(a for a in ACTIONS if a.startswith(f"{service}:"))
    for service in {a.partition(":")[0] for a in ACTIONS}
}


@settings(max_examples=600, deadline=None)
@given(
    st.lists(RICH, min_size=1, max_size=4),
    st.lists(RICH, min_size=0, max_size=3),
    st.sampled_from(ACTIONS),
    st.sampled_from(RESOURCES),
    CONTEXTS,
)
def test_what_a_request_may_do_the_audit_never_leaves_out(
    identity: list[dict[str, object]],
    boundary: list[dict[str, object]],
    action: str,
    resource: str,
    context: Context,
) -> None:
    documents = [document(identity)] + ([document(boundary)] if boundary else [])
    layers = layers_of(*documents)
    if decide(layers, action, resource, context) is Ruling.DENIED:
        return
    facts = {k: v for k, v in context.items() if k == "aws:principaltag/team" and v}
    ways = reach(layers, facts, BY_SERVICE).ways.get(action, ())
    region = context["aws:requestedregion"][0]
    tag = context["aws:resourcetag/env"]
    assert any(_open(w, resource, region, tag) for w in ways), documents


def _open(way: Way, resource: str, region: str, tag: tuple[str, ...]) -> bool:
    inside = all(matches(p, resource) for p in way.patterns)
    out = any(matches(e, resource) for e in way.exceptions)
    here = way.regions is None or any(matches(r, region) for r in way.regions)
    away = any(matches(r, region) for r in way.no_regions)
    tagged = all(any(matches(v, t) for v in vs for t in tag) for _, vs in way.tags)
    untagged = any(matches(v, t) for _, vs in way.no_tags for v in vs for t in tag)
    return inside and not out and here and not away and tagged and not untagged


NAMES = Names(actions.known, actions.lower_names(), actions.by_service(), actions.depends_on)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(PLAIN, min_size=1, max_size=4),
    st.dictionaries(
        st.sampled_from(ACTIONS), st.frozensets(st.sampled_from(RESOURCES[1:]), max_size=2)
    ),
)
def test_a_smaller_policy_allows_what_was_used_and_never_more_than_before(
    statements: list[dict[str, object]], used: dict[str, frozenset[str]]
) -> None:
    made = document(statements)
    before = layers_of(made)
    found = reach(before, {}, BY_SERVICE)
    denies = [s for s in before.identity if not s.allow]
    result = smaller(found, denies, Used(used, sources=("x",)), NAMES, Ground("aws", ACCOUNT))
    pages = [IAMPolicy(json.dumps(p)) for p in result.managed]

    def now(action: str, resource: str) -> bool:
        seen = [p.is_action_permitted(action, resource) for p in pages]
        return PermissionResult.PERMITTED in seen and PermissionResult.DENIED not in seen

    for action, resource in itertools.product(ACTIONS, RESOURCES):
        allowed = decide(before, action, resource, {}) is Ruling.ALLOWED
        if now(action, resource):
            assert allowed, (action, resource, result.managed)
            assert action in used
        if action == "s3:ListBucket" and "/" in resource:
            continue  # A bucket is listed, not what lies in it: its own name is written.
        forms = actions.known(action).arns or ("*",)
        fits = any(matches(f, resource) for f in forms) and forms != ("*",)
        if allowed and fits and resource in used.get(action, ()):
            assert now(action, resource), (action, resource, result.managed)


SHORT = st.text("ab*?", max_size=5)


@settings(max_examples=300, deadline=None)
@given(SHORT, SHORT)
@example("*", "")
@example("a*b*", "a?b")
def test_patterns_are_compared_as_the_texts_they_stand_for(one: str, other: str) -> None:
    # Two patterns of at most five signs that overlap do so in some text of at most ten.
    texts = ["".join(t) for n in range(11) for t in itertools.product("ab", repeat=n)]
    ones = {t for t in texts if matches(one, t)}
    others = {t for t in texts if matches(other, t)}
    if covers(one, other):
        assert others <= ones
    assert overlaps(one, other) == bool(ones & others)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(("prod-*", "*-orders", "test-*", "*")),
    st.sampled_from(("*", "arn:aws:dynamodb:*:*:table/test-*", "arn:aws:dynamodb:*:*:table/*")),
    st.sampled_from(("prod-orders", "test-orders", "other")),
)
def test_no_environment_a_table_is_in_is_left_out(row: str, pattern: str, name: str) -> None:
    (allow,) = policy_of(
        {"Statement": {"Effect": "Allow", "Action": "*", "Resource": pattern}}, "p", Layer.IDENTITY
    ).statements
    table = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/{name}"
    if not matches(pattern, table):
        return
    ground = Ground("aws", ACCOUNT, ({"environment": "staging", "name": row},))
    found = environments(Way((pattern,), allow), ("arn:aws:dynamodb:*:*:table/*",), ground)
    assert ("staging" if matches(row, name) else "production") in found
