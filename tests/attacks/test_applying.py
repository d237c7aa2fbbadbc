"""Attempts to have another configuration run than the one people signed.

What runs is sealed in the state and anchored beside the settings. A file that is edited is
only a candidate; a candidate is texts, signed by their digest, and sealed as signed.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from attacks.commands import signoff
from attacks.conftest import MakeScene, Scene
from signoff.config import read_seal, read_texts, render_config, seal_path
from signoff.demo.guard import receipts
from signoff.faces.backend import Act
from signoff.faces.client import Answered
from signoff.model.errors import ConfigInvalid, SignoffError

LENIENT = '\n[[map]]\nenvironment = "development"\nname = "*ders"\n'
"""Makes the table `orders`, which is production, development."""

HARMLESS = '\n[[map]]\nenvironment = "staging"\nname = "x-*"\n'
NO_MORE = '@id("no-more") @why("none at all") forbid (principal is Agent, action, resource);\n'
DOOR = (
    '@id("door") @why("because") permit (principal is Agent, action == Action::"read", resource);\n'
)


def settings(scene: Scene) -> Path:
    """The settings file."""
    assert scene.guard.config.path is not None
    return scene.guard.config.path


def edit(scene: Scene, more: str = LENIENT) -> None:
    """The attacker, or anybody with the operator's login, writes the settings."""
    path = settings(scene)
    path.write_text(path.read_text() + more)


def sealed(scene: Scene) -> str:
    """The digest of what runs."""
    return str(told(scene)["digest"])


def told(scene: Scene) -> dict[str, Any]:
    """What `status` says of the configuration."""
    found = scene.guard.control.status()["configuration"]
    assert isinstance(found, dict)
    return found


def noticed(scene: Scene, act: str = "files-differ") -> dict[str, Any]:
    """The first receipt in which the daemon says that of the files; waits for it."""
    at = 0
    while True:
        page = scene.guard.control.log(at, 100, wait_ms=20_000)
        rows = page["receipts"]
        assert isinstance(rows, list)
        assert rows, "it was not noticed"
        for row in rows:
            if row.get("detail", {}).get("act") == act:
                found: dict[str, Any] = row
                return found
        at = int(str(page["next"]))


def seals(scene: Scene) -> list[dict[str, Any]]:
    """Every sealing in the ledger."""
    return [r for r in receipts(scene.guard) if r["mark"] == "sealed"]


def still_guarded(scene: Scene) -> None:
    """`orders` is production, and a write there waits for people."""
    seen = scene.put(2)
    assert seen.ticket, seen.text
    assert scene.arrived() == []


def with_policy(scene: Scene, text: str = DOOR) -> Path:
    """A policy file of the owner's, named in the settings."""
    policy = settings(scene).with_name("own.cedar")
    policy.write_text(text)
    policy.chmod(0o644)
    edit(scene, f'\n[policies]\nextra = ["{policy}"]\n')
    return policy


def test_settings_edited_under_the_daemon_change_nothing_and_are_told(own: MakeScene) -> None:
    scene = own()
    before = sealed(scene)
    edit(scene)
    assert "signoff.toml" in str(noticed(scene)["detail"]["files"])
    assert "is not what is sealed" in str(told(scene)["differs"])
    assert sealed(scene) == before
    still_guarded(scene)
    settings(scene).write_text(settings(scene).read_text().replace(LENIENT, ""))
    noticed(scene, "files-agree")
    assert told(scene)["differs"] == []


def test_settings_edited_between_two_starts_change_nothing_and_are_told_once(
    own: MakeScene,
) -> None:
    scene = own()
    ticket = scene.put(2).ticket
    scene.guard.stop()
    edit(scene)
    for _ in range(2):
        scene.guard.start()
        assert "is not what is sealed" in str(told(scene)["differs"])
        # Even what people are asked is as before: the hold is not stale.
        assert scene.put(2).ticket == ticket
        scene.guard.stop()
    scene.guard.start()
    rows = [r for r in receipts(scene.guard) if r.get("detail", {}).get("act") == "files-differ"]
    assert len(rows) == 1
    assert len(seals(scene)) == 1


def test_an_edit_is_recorded_also_when_nobody_hears_the_daemon(own: MakeScene) -> None:
    scene = own(start=False)
    said = scene.guard.folder / "daemon.log"
    os.mkfifo(said)
    hears = os.open(said, os.O_RDONLY | os.O_NONBLOCK)
    scene.guard.start()
    scene.key = scene.guard.key()
    os.close(hears)
    still_guarded(scene)
    edit(scene)
    assert "signoff.toml" in str(noticed(scene)["detail"]["files"])
    still_guarded(scene)


def gone(path: Path) -> None:
    path.unlink()


def garbage(path: Path) -> None:
    path.write_bytes(b"\xff[[[")


def open_to_all(path: Path) -> None:
    path.chmod(0o666)


def elsewhere(path: Path) -> None:
    text = path.read_text().replace("/state", "/another-state")
    path.write_text(text)


@pytest.mark.parametrize("change", [gone, garbage, open_to_all, elsewhere])
def test_settings_that_cannot_be_used_leave_what_is_sealed_running(
    own: MakeScene, change: Callable[[Path], None]
) -> None:
    scene = own()
    change(settings(scene))
    noticed(scene)
    still_guarded(scene)
    scene.guard.stop()
    scene.guard.start()
    assert told(scene)["differs"]
    still_guarded(scene)
    assert not (scene.guard.folder / "another-state").exists()


def test_observing_is_not_started_from_what_is_not_sealed(own: MakeScene) -> None:
    scene = own()
    scene.guard.stop()
    edit(scene, '\n[observe]\nenvironments = ["development"]\n')
    ran = signoff(scene.guard, "up", "--observe")
    assert ran.code == 1
    assert "nothing may be observed" in ran.err


def test_who_asks_for_a_change_does_not_sign_it(own: MakeScene) -> None:
    scene = own()
    before = sealed(scene)
    edit(scene)
    ticket = str(scene.guard.propose("cy")["ticket"])
    with pytest.raises(SignoffError, match="nobody signs off what they"):
        scene.guard.decide(ticket, "cy")
    assert scene.guard.propose("cy")["ticket"] == ticket
    scene.guard.decide(ticket, "ana")
    assert scene.guard.propose("cy")["ticket"] == ticket
    assert sealed(scene) == before
    still_guarded(scene)


def test_a_change_is_signed_with_what_it_changes_in_view(own: MakeScene) -> None:
    scene = own()
    edit(scene)
    public = scene.guard.propose()["card"]["public"]  # type: ignore[index]
    assert "environment `development`, name `*ders`" in str(public["changes"])
    # The counter-test: what two people signed takes effect, without a restart by hand.
    scene.guard.apply()
    assert told(scene)["how"] == "asked for by cy, signed by ana and bo"
    assert told(scene)["differs"] == []
    assert scene.put(2).status == 200


def test_an_order_that_moves_is_shown_behind_a_row_that_is_added(own: MakeScene) -> None:
    # The first row that fits counts: exchanged, these two make `orders` development.
    scene = own(start=False)
    first = '\n[[map]]\nenvironment = "production"\nname = "ord*"\n'
    edit(scene, first + LENIENT)
    scene.guard.start()
    path = settings(scene)
    path.write_text(path.read_text().replace(first + LENIENT, LENIENT + first + HARMLESS))
    changes = str(scene.guard.propose()["card"]["public"]["changes"])  # type: ignore[index]
    assert "in another order" in changes
    assert changes.index("name `*ders`") < changes.index("name `ord*`")


def test_a_policy_is_shown_whatever_its_file_is_called_and_however_its_lines_end(
    own: MakeScene,
) -> None:
    # To Cedar U+2028 ends no line: the policy behind it is a part of the comment.
    scene = own(start=False)
    policy = with_policy(scene, "// nothing at all\n" + NO_MORE)
    scene.guard.start()
    policy.write_text("// nothing at all\u2028" + NO_MORE)
    assert NO_MORE.strip() in str(scene.guard.propose()["card"]["public"]["changes"])  # type: ignore[index]
    other = policy.rename(policy.with_name("tidy.cedar"))
    other.write_text("// " + "-" * 500 + DOOR)
    path = settings(scene)
    path.write_text(path.read_text().replace("own.cedar", "tidy.cedar"))
    shown = str(scene.guard.propose()["card"]["public"]["changes"])  # type: ignore[index]
    assert 'permit (principal is Agent, action == Action::"read", resource)' in shown


def test_a_candidate_exchanged_after_the_sign_offs_is_another_question(own: MakeScene) -> None:
    scene = own()
    edit(scene, HARMLESS)
    asked = scene.guard.propose()
    for who in ("ana", "bo"):
        scene.guard.decide(str(asked["ticket"]), who)
    edit(scene)
    again = scene.guard.propose()
    assert again["state"] == "open"
    assert again["ticket"] != asked["ticket"]
    assert len(seals(scene)) == 1
    still_guarded(scene)


def test_a_policy_exchanged_after_it_was_read_is_not_what_is_sealed(own: MakeScene) -> None:
    scene = own()
    policy = with_policy(scene)
    asked = scene.guard.propose()
    for who in ("ana", "bo"):
        scene.guard.decide(str(asked["ticket"]), who)
    digest = read_texts(settings(scene)).digest
    policy.write_text(DOOR.replace(' == Action::"read"', ""))
    assert scene.guard.act(Act.APPLY, "cy", configuration=digest)["state"] == "sealed"
    scene.guard.opened(digest)
    texts = scene.guard.control.configuration()["texts"]
    assert texts["files"] == {str(policy): DOOR}  # type: ignore[index]
    noticed(scene)
    assert str(policy) in str(told(scene)["differs"])


def test_sign_offs_for_a_change_are_spent_by_it(own: MakeScene) -> None:
    scene = own()
    first = settings(scene).read_text()
    edit(scene, HARMLESS)
    scene.guard.apply()
    with pytest.raises(SignoffError, match="sealed already"):
        scene.guard.propose()
    changed = settings(scene).read_text()
    settings(scene).write_text(first)
    scene.guard.apply()
    settings(scene).write_text(changed)
    # The same texts a second time are signed for a second time.
    assert scene.guard.propose()["state"] == "open"
    assert len(seals(scene)) == 3


def test_a_change_signed_over_another_one_is_not_carried_out(own: MakeScene) -> None:
    scene = own()
    first = settings(scene).read_text()
    edit(scene)
    lenient = scene.guard.propose()
    for who in ("ana", "bo"):
        scene.guard.decide(str(lenient["ticket"]), who)
    settings(scene).write_text(first)
    edit(scene, HARMLESS)
    scene.guard.apply()
    settings(scene).write_text(first)
    edit(scene)
    # What was signed was the difference to what ran then.
    assert scene.guard.propose()["ticket"] != lenient["ticket"]
    still_guarded(scene)


def test_of_two_changes_carried_out_at_once_one_is_sealed(own: MakeScene) -> None:
    scene = own()
    first, digests = settings(scene).read_text(), []
    for more in (HARMLESS, LENIENT):
        settings(scene).write_text(first + more)
        asked = scene.guard.propose()
        for who in ("ana", "bo"):
            scene.guard.decide(str(asked["ticket"]), who)
        digests.append(read_texts(settings(scene)).digest)

    def carry_out(digest: str) -> str:
        try:
            return str(scene.guard.act(Act.APPLY, "cy", configuration=digest)["state"])
        except SignoffError as error:
            return str(error)

    with ThreadPoolExecutor(2) as both:
        ended = list(both.map(carry_out, digests))
    # The other was signed as a step from a configuration that is in force no more.
    assert ended.count("sealed") == 1, ended
    scene.guard.opened(digests[ended.index("sealed")])
    assert len(seals(scene)) == 2


def test_nobody_who_waits_keeps_the_configuration_of_before_in_force(own: MakeScene) -> None:
    scene = own(start=False)
    edit(scene)
    scene.guard.start()
    scene.key = scene.guard.key()
    assert scene.put(2).status == 200
    settings(scene).write_text(settings(scene).read_text().replace(LENIENT, ""))
    asked = scene.guard.propose()
    for who in ("ana", "bo"):
        scene.guard.decide(str(asked["ticket"]), who)
    with ThreadPoolExecutor(1) as pool:
        # A receipt that is far from being written is waited for as long as anybody may wait.
        waiting = pool.submit(scene.guard.control.log, 1_000_000, 1, wait_ms=12_000)
        done = scene.guard.propose()
        arrived, passed = len(scene.arrived()), []
        while not waiting.done():
            with suppress(Exception):
                passed.append(scene.put(3).status)
    scene.guard.opened(str(done["configuration"]))
    assert 200 not in passed
    assert len(scene.arrived()) == arrived


def test_a_signature_for_a_change_is_used_once(own: MakeScene) -> None:
    scene = own()
    edit(scene, HARMLESS)
    texts = read_texts(settings(scene))
    scene.guard.control.consider(texts.as_data())
    cy = scene.guard.people["cy"]
    nonce, text = scene.guard.control.propose(Act.APPLY, {"configuration": texts.digest}, "cy")
    signature = cy.sign(text.encode())
    scene.guard.control.act(nonce, cy.key.fingerprint, signature)
    with pytest.raises(SignoffError, match="challenge"):
        scene.guard.control.act(nonce, cy.key.fingerprint, signature)
    with pytest.raises(SignoffError):
        scene.guard.act(Act.APPLY, "cy", configuration="00" * 32)


def test_a_candidate_that_would_not_load_is_refused_before_anybody_is_asked(
    own: MakeScene,
) -> None:
    scene = own()
    first = settings(scene).read_text()
    with_policy(scene, "permit (principal, action, resource);")
    ran = signoff(scene.guard, "apply", "--dry-run")
    assert ran.code == 4, ran.err
    assert "own.cedar` line 1" in ran.err
    for more in ("two_person = 0\n", LENIENT.replace("*ders", "")):
        settings(scene).write_text(first)
        texts = replace(read_texts(settings(scene)), settings=first + more)
        with pytest.raises(Answered) as refused:
            scene.guard.control.consider(texts.as_data())
        assert refused.value.exit_code == 4
    assert scene.guard.control.holds() == []


def test_a_candidate_that_breaks_the_safeguard_is_refused_with_a_request_that_would_pass(
    own: MakeScene,
) -> None:
    scene = own()
    edit(scene, '\n[[quorum]]\nenvironment = "production"\nagents = ["kit"]\nirreversible = 0\n')
    ran = signoff(scene.guard, "apply", "--dry-run")
    assert ran.code == 4, ran.err
    assert "the safeguard does not hold" in ran.err
    assert f"{settings(scene)}` line" in ran.err
    assert scene.guard.control.holds() == []
    assert len(seals(scene)) == 1


@pytest.mark.parametrize("what", ["state_dir", "key_file", "high_water"])
def test_the_state_is_not_moved_by_a_change_of_settings(own: MakeScene, what: str) -> None:
    scene = own()
    text = settings(scene).read_text()
    lines = [f'{what} = "/tmp/other"' if x.startswith(what) else x for x in text.splitlines()]
    settings(scene).write_text("\n".join(lines) + "\n")
    ran = signoff(scene.guard, "apply", "--dry-run")
    assert ran.code == 4, ran.err
    assert "not moved" in ran.err


def test_a_policy_that_others_can_write_is_no_candidate(own: MakeScene) -> None:
    scene = own()
    policy = with_policy(scene)
    policy.chmod(0o666)
    ran = signoff(scene.guard, "apply", "--dry-run")
    assert ran.code == 4
    assert "chmod go-w" in ran.err
    tree = scene.guard.folder / "work-tree"
    tree.mkdir()
    tree.chmod(0o777)
    (tree / "own.cedar").write_text(DOOR)
    policy.unlink()
    policy.symlink_to(tree / "own.cedar")
    with pytest.raises(ConfigInvalid, match="others than its owner"):
        read_texts(settings(scene))


def lenient_then_strict(own: MakeScene) -> Scene:
    """A daemon that began lenient, and whose people then signed something stricter; the
    attacker kept a copy of the state from before."""
    scene = own(start=False)
    edit(scene)
    scene.guard.start()
    scene.key = scene.guard.key()
    scene.guard.stop()
    sockets = shutil.ignore_patterns("*.sock")
    shutil.copytree(scene.guard.config.state_dir, scene.guard.folder / "kept", ignore=sockets)
    scene.guard.start()
    settings(scene).write_text(settings(scene).read_text().replace(LENIENT, ""))
    scene.guard.apply()
    still_guarded(scene)
    scene.guard.stop()
    return scene


def refused(scene: Scene, word: str) -> None:
    """The daemon does not start, and says why."""
    ran = signoff(scene.guard, "up")
    assert ran.code == 5, (ran.code, ran.err)
    assert word in ran.err, ran.err


def test_an_older_state_brings_no_older_configuration_back(own: MakeScene) -> None:
    scene = lenient_then_strict(own)
    shutil.rmtree(scene.guard.config.state_dir)
    shutil.copytree(scene.guard.folder / "kept", scene.guard.config.state_dir)
    refused(scene, "an older configuration was put back")


def test_a_state_thrown_away_does_not_make_the_files_the_configuration(own: MakeScene) -> None:
    scene = lenient_then_strict(own)
    shutil.rmtree(scene.guard.config.state_dir)
    edit(scene)
    refused(scene, "nobody signed them")


NEWEST = " WHERE at = (SELECT max(at) FROM configurations)"
OLDER = "(SELECT digest, sealed FROM configurations ORDER BY at LIMIT 1)"
ROWS = {
    "the newest deleted": f"DELETE FROM configurations{NEWEST}",
    "the newest deleted, its receipt hidden": f"DELETE FROM configurations{NEWEST}",
    "all deleted": "DELETE FROM configurations",
    "the older in its place": f"UPDATE configurations SET (digest, sealed) = {OLDER}{NEWEST}",
    "altered": "UPDATE configurations SET sealed = zeroblob(length(sealed))",
}


@pytest.mark.parametrize("what", list(ROWS))
def test_the_sealed_row_is_not_deleted_or_exchanged(own: MakeScene, what: str) -> None:
    scene = lenient_then_strict(own)
    with sqlite3.connect(scene.guard.config.ledger_path) as db:
        db.execute(ROWS[what])
        if "hidden" in what:
            db.execute("DROP TRIGGER receipts_are_not_changed")
            db.execute("UPDATE receipts SET mark = 'control' WHERE mark = 'sealed' AND at > 2")
    db.close()
    ran = signoff(scene.guard, "up")
    assert ran.code in (2, 5), (ran.code, ran.err)
    assert "configuration" in ran.err
    assert "Traceback" not in ran.err


def test_a_seal_that_somebody_else_wrote_is_no_seal(own: MakeScene) -> None:
    scene = lenient_then_strict(own)
    shutil.rmtree(scene.guard.config.state_dir)
    shutil.copytree(scene.guard.folder / "kept", scene.guard.config.state_dir)
    path = seal_path(settings(scene))
    found = json.loads(path.read_text())
    for forged in ({**found, "at": 1}, {**found, "state_dir": "/tmp/x"}, {**found, "at": -1}, {}):
        path.write_text(json.dumps(forged))
        ran = signoff(scene.guard, "up")
        assert ran.code == 1, (ran.code, ran.err)
        assert "seal" in ran.err
        assert "Traceback" not in ran.err


def test_a_seal_taken_away_is_told_and_written_anew(own: MakeScene) -> None:
    scene = own()
    scene.guard.stop()
    seal_path(settings(scene)).unlink()
    scene.guard.start()
    assert "was missing" in str(scene.guard.control.status()["warnings"])
    assert read_seal(settings(scene)) is not None
    still_guarded(scene)


def test_a_human_who_was_removed_signs_nothing_any_more(own: MakeScene) -> None:
    scene = own()
    config = scene.guard.config
    fewer = replace(config, humans=tuple(h for h in config.humans if h.name != "bo"))
    settings(scene).write_text(render_config(fewer))
    scene.guard.apply()
    with pytest.raises(SignoffError):
        scene.guard.decide(scene.put(2).ticket, "bo")
    still_guarded(scene)
