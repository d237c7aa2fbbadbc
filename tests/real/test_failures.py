"""What breaks around Signoff: the disk, the target, the settings, the policies.

Production stops with one clear line, and `log`, `verify`, `status` and `explain` still work.
"""

from __future__ import annotations

import json
import resource
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from attacks.commands import Ran, signoff
from attacks.conftest import FIRST, Scene
from attacks.fake_aws import FakeAws
from signoff.config import MapRow
from signoff.demo.guard import prepare, receipts
from signoff.model.errors import SignoffError

pytestmark = pytest.mark.real

POLICY = '@id("more") @why("because it matters") permit (principal, action, resource);'
DELETE = json.dumps({"service": "dynamodb", "operation": "DeleteTable", "parameters": {}})


@pytest.fixture
def scene(tmp_path: Path, operations_index: Path) -> Iterator[Scene]:
    """A daemon that is not started yet, in front of a target that lists its effects."""
    aws = FakeAws({"orders": {"first": dict(FIRST)}, "dev-orders": {}})
    rules = (MapRow("development", name="dev-*"),)
    guard = prepare(tmp_path / "guard", aws.url, rules=rules, index=operations_index)
    yield Scene(guard, aws, {})
    guard.kill()
    aws.stop()


def started(scene: Scene) -> Scene:
    """The daemon serves, and there is a run key."""
    scene.guard.start()
    scene.key = scene.guard.key()
    return scene


def clear(ran: Ran) -> bool:
    """What a person is told: one line with what, why and next; never a traceback."""
    lines = ran.err.strip().splitlines()
    return (
        any(line.startswith("signoff: ") for line in lines)
        and any("next:" in line for line in lines)
        and "Traceback" not in ran.err
    )


def explained() -> tuple[str, ...]:
    """A question that needs no daemon."""
    return "explain", "--surface", "aws", "--json", DELETE


def looking_still_works(scene: Scene) -> None:
    """`log`, `verify` and `status` answer, and `explain` says what would be decided."""
    for command in ("log", "verify"):
        ran = signoff(scene.guard, command)
        assert ran.code == 0, (command, ran.err)
    status = signoff(scene.guard, "status")
    assert "Traceback" not in status.err
    assert status.out or clear(status)
    assert signoff(scene.guard, *explained()).code in (0, 2, 3)


# --- the disk --------------------------------------------------------------------------------


def room(scene: Scene, most: int) -> None:
    """The largest file the daemon may write: a full disk, as a process sees it."""
    process = scene.guard.process
    assert process is not None
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


@pytest.mark.slow
def test_a_disk_that_fills_at_any_point_of_a_change_runs_nothing_unrecorded(scene: Scene) -> None:
    started(scene)
    told: Counter[int] = Counter()
    for step in range(24):
        room(scene, step * step * 1_000)
        item = {"id": {"S": f"item-{step}"}, "v": {"N": str(step)}}
        seen = scene.dynamodb("PutItem", TableName="dev-orders", Item=item)
        told[seen.status] += 1
        room(scene, resource.RLIM_INFINITY)
        scene.guard.kill()
        scene.guard.start()
        done = [e for e in scene.aws.effects if e[1]["Item"]["id"]["S"] == f"item-{step}"]
        last = [r for r in receipts(scene.guard) if r.get("action")]
        action = last[-1]["action_id"] if last else ""
        marks = [r["mark"] for r in last if r["action_id"] == action]
        if done:
            assert "started" in marks, "it ran without its intent"
        if seen.status == 200:
            assert marks[-1] == "succeeded"
    assert told[200] > 0, "no step had room: nothing was tested"
    assert told[403] > 0, "the disk was never full: nothing was tested"
    assert scene.guard.control.verify()["findings"] == []
    assert max(Counter(e[1]["Item"]["id"]["S"] for e in scene.aws.effects).values()) == 1


def test_a_full_disk_stops_production_and_not_the_looking(scene: Scene) -> None:
    started(scene)
    assert scene.dynamodb("ListTables").status == 200
    room(scene, 0)
    seen = scene.dynamodb("ListTables")
    assert seen.status == 403
    assert "ledger" in seen.text
    assert "next:" in seen.text
    looking_still_works(scene)


def test_a_disk_that_is_full_at_the_start_refuses_the_start(scene: Scene) -> None:
    scene.guard.variables["PYTHONDONTWRITEBYTECODE"] = "1"
    started(scene)
    scene.guard.stop()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, hard))
    try:
        ran = signoff(scene.guard, "up")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert ran.code != 0
    assert "Traceback" not in ran.err
    scene.guard.start()
    assert scene.guard.control.verify()["findings"] == []


# --- the target ------------------------------------------------------------------------------


def test_a_target_that_is_down_at_the_start_is_said_in_one_line(scene: Scene) -> None:
    started(scene)
    scene.guard.stop()
    scene.aws.stop()
    ran = signoff(scene.guard, "up")
    assert ran.code == 1
    assert clear(ran), ran.err
    looking_still_works(scene)


def test_a_target_that_goes_down_stops_changes_and_keeps_what_was_signed(scene: Scene) -> None:
    started(scene)
    ticket = scene.put(2).ticket
    scene.guard.decide(ticket, "ana")
    scene.aws.stop()
    assert scene.dynamodb("ListTables").status in (403, 503)
    assert scene.put(2).status in (403, 503)
    assert scene.guard.control.status()["in_doubt"] == []
    looking_still_works(scene)


def test_credentials_the_target_does_not_take_refuse_the_start(scene: Scene) -> None:
    scene.aws.lies["GetCallerIdentity"] = lambda body: (
        403,
        {"Content-Type": "text/xml"},
        b"<ErrorResponse><Error><Code>InvalidClientTokenId</Code></Error></ErrorResponse>",
    )
    ran = signoff(scene.guard, "up")
    assert ran.code == 1
    assert clear(ran), ran.err
    assert "credentials" in ran.err


def test_credentials_of_another_account_than_the_pinned_one_refuse_the_start(scene: Scene) -> None:
    path = settings(scene)
    text = path.read_text()
    pinned = text.replace('account = ""', 'account = "999999999999"')
    if pinned == text:
        pinned = text.replace("[aws]\n", '[aws]\naccount = "999999999999"\n')
    path.write_text(pinned)
    ran = signoff(scene.guard, "up")
    assert ran.code != 0
    assert "999999999999" in ran.err
    assert clear(ran), ran.err


# --- the settings ----------------------------------------------------------------------------


def settings(scene: Scene) -> Path:
    """The settings file."""
    assert scene.guard.config.path is not None
    return scene.guard.config.path


def rewrite(scene: Scene, change: Callable[[str], str]) -> None:
    """The settings with something changed in them."""
    path = settings(scene)
    before = path.read_text()
    after = change(before)
    assert after != before
    path.write_text(after)


def one_key_on_two(scene: Scene) -> None:
    people = scene.guard.people
    rewrite(scene, lambda text: text.replace(people["bo"].key.public, people["ana"].key.public))


def too_few_humans(scene: Scene) -> None:
    def without(text: str) -> str:
        blocks = text.split("[[human]]")
        return "[[human]]".join(blocks[:2]) if len(blocks) > 2 else text

    rewrite(scene, without)


BROKEN: dict[str, tuple[Callable[[Scene], Any], str]] = {
    "an unknown key": (
        lambda scene: rewrite(scene, lambda text: "two_persons = false\n" + text),
        "two_persons",
    ),
    "no TOML": (lambda scene: rewrite(scene, lambda text: text + "\n[[["), "line"),
    "a wrong type": (
        lambda scene: rewrite(scene, lambda text: text.replace('"team"', "7")),
        "profile",
    ),
    "a profile nobody knows": (
        lambda scene: rewrite(scene, lambda text: text.replace('"team"', '"none"')),
        "none",
    ),
    "one key on two humans": (one_key_on_two, "ana"),
    "fewer humans than a quorum": (too_few_humans, "human"),
    "writable by others": (lambda scene: settings(scene).chmod(0o666), "chmod"),
    "a directory in its place": (
        lambda scene: (settings(scene).unlink(), settings(scene).mkdir()),
        "settings",
    ),
    "not there": (lambda scene: settings(scene).unlink(), "signoff init"),
    "a missing ledger key": (
        lambda scene: scene.guard.config.ledger.key_file.unlink(),
        "ledger key",
    ),
    "an empty vault key": (
        lambda scene: scene.guard.config.vault.key_file.write_bytes(b""),
        "vault key",
    ),
}


@pytest.mark.parametrize("sentence", BROKEN)
def test_settings_that_are_wrong_refuse_the_start_and_say_what_to_do(
    scene: Scene, sentence: str
) -> None:
    spoil, word = BROKEN[sentence]
    spoil(scene)
    ran = signoff(scene.guard, "up")
    assert ran.code == 1, (ran.code, ran.err)
    assert clear(ran), ran.err
    assert word in ran.err
    assert signoff(scene.guard, "explain", "--batch", "/dev/null").code == 0


# --- the policies ----------------------------------------------------------------------------

POLICIES = {
    "does not parse": "permit (principal, action, resource",
    "does not validate": '@id("x") @why("y") permit (principal, action, resource) '
    "when { context.nothing == 1 };",
    "has no id": "permit (principal, action, resource);",
    "has an id that is taken": '@id("read") @why("y") permit (principal, action, resource);',
    "is no text": "\udcff",
}


@pytest.mark.parametrize("sentence", POLICIES)
def test_a_policy_that_is_wrong_refuses_the_start_with_the_policys_exit_code(
    scene: Scene, sentence: str
) -> None:
    policy = settings(scene).with_name("own.cedar")
    policy.write_bytes(POLICIES[sentence].encode("utf-8", "surrogateescape"))
    rewrite(scene, lambda text: text + f'\n[policies]\nextra = ["{policy}"]\n')
    ran = signoff(scene.guard, "up")
    assert ran.code == 4, (ran.code, ran.err)
    assert clear(ran), ran.err
    assert signoff(scene.guard, *explained()).code in (0, 2, 3)


def test_a_policy_file_that_is_missing_refuses_the_start(scene: Scene) -> None:
    policy = settings(scene).with_name("nothing.cedar")
    rewrite(scene, lambda text: text + f'\n[policies]\nextra = ["{policy}"]\n')
    ran = signoff(scene.guard, "up")
    assert ran.code in (1, 4)
    assert clear(ran), ran.err
    with pytest.raises(SignoffError):
        scene.guard.start()


def test_a_sound_policy_of_ones_own_loads(scene: Scene) -> None:
    policy = settings(scene).with_name("own.cedar")
    policy.write_text(POLICY)
    rewrite(scene, lambda text: text + f'\n[policies]\nextra = ["{policy}"]\n')
    assert started(scene).dynamodb("ListTables").status == 200
