"""Another configuration taken into effect by a running daemon: what stays, and what a crash
leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from attacks.commands import signoff
from attacks.conftest import FIRST, Scene
from attacks.fake_aws import FakeAws
from signoff.config import MapRow, read_seal, seal_path, write_config
from signoff.demo.guard import prepare, receipts
from signoff.model.decision import Verdict
from signoff.model.errors import SignoffError

pytestmark = pytest.mark.real


@pytest.fixture
def scene(tmp_path: Path, operations_index: Path) -> Iterator[Scene]:
    """A daemon that is not started yet, in front of a target."""
    aws = FakeAws({"orders": {"first": dict(FIRST)}, "dev-orders": {}})
    rules = (MapRow("development", name="dev-*"),)
    guard = prepare(tmp_path / "guard", aws.url, rules=rules, index=operations_index)
    try:
        yield Scene(guard, aws, {})
    finally:
        guard.kill()
        aws.stop()


def started(scene: Scene) -> Scene:
    scene.guard.start()
    scene.key = scene.guard.key()
    return scene


def settings(scene: Scene) -> Path:
    path = scene.guard.config.path
    assert path is not None
    return path


def rewrite(scene: Scene, change: Callable[[str], str]) -> None:
    text = settings(scene).read_text()
    assert change(text) != text
    settings(scene).write_text(change(text))


def test_run_keys_the_address_and_holds_of_the_same_bundle_stay(scene: Scene) -> None:
    started(scene)
    endpoint = scene.guard.endpoint
    ticket = scene.put(2).ticket
    scene.guard.decide(ticket, "ana")
    # The size of a body is nothing a policy looks at, so the bundle is the same.
    rewrite(scene, lambda text: text.replace("body_most_mb = 64", "body_most_mb = 1"))
    scene.guard.apply()
    gates = scene.guard.control.status()["gates"]
    assert gates[0]["address"] == endpoint  # type: ignore[index]
    assert scene.put(2).status == 200
    assert scene.guard.control.verify()["findings"] == []


def test_a_rejected_configuration_is_no_rejection_of_the_next(scene: Scene) -> None:
    started(scene)
    text = settings(scene).read_text()
    rewrite(scene, lambda old: old.replace("changes_per_minute = 60", "changes_per_minute = 7"))
    scene.guard.decide(str(scene.guard.propose()["ticket"]), "ana", Verdict.REJECT)
    with pytest.raises(SignoffError, match="rejected"):
        scene.guard.propose()
    settings(scene).write_text(text)
    rewrite(scene, lambda old: old.replace("changes_per_minute = 60", "changes_per_minute = 8"))
    scene.guard.apply()


def test_another_port_is_a_setting_like_the_others(scene: Scene) -> None:
    started(scene)
    taken = int(scene.guard.endpoint.rpartition(":")[2])
    before = scene.guard.config
    # A port somebody else has is refused before anybody is asked.
    busy = int(scene.aws.url.rpartition(":")[2])
    write_config(replace(before, gate=replace(before.gate, port=busy)), settings(scene))
    with pytest.raises(SignoffError, match="could not listen"):
        scene.guard.propose()
    assert scene.guard.control.holds() == []
    scene.guard.stop()
    scene.guard.start()
    write_config(replace(before, gate=replace(before.gate, port=taken)), settings(scene))
    scene.guard.apply()
    gates = scene.guard.control.status()["gates"]
    assert gates[0]["address"] == f"http://127.0.0.1:{taken}"  # type: ignore[index]


def test_credentials_that_cannot_be_loaded_are_not_sealed(scene: Scene) -> None:
    started(scene)
    rewrite(scene, lambda text: text.replace("[aws]\n", '[aws]\naccount = "999999999999"\n'))
    with pytest.raises(SignoffError, match="999999999999"):
        scene.guard.propose()
    assert scene.put(2).ticket


def test_a_daemon_killed_right_after_the_sealing_comes_back_with_what_was_sealed(
    scene: Scene,
) -> None:
    started(scene)
    seal = seal_path(settings(scene)).read_text()
    rewrite(scene, lambda text: text.replace("changes_per_minute = 60", "changes_per_minute = 7"))
    scene.guard.apply()
    digest = scene.guard.control.configuration()["digest"]
    scene.guard.kill()
    # The seal had not been written yet.
    seal_path(settings(scene)).write_text(seal)
    scene.guard.start()
    assert scene.guard.control.configuration()["digest"] == digest
    found = read_seal(settings(scene))
    assert found is not None
    assert found.digest == digest
    marks = [r["mark"] for r in receipts(scene.guard)]
    assert marks.count("sealed") == 2


def test_with_one_human_their_own_signature_changes_the_configuration(scene: Scene) -> None:
    config = scene.guard.config
    alone = replace(config, profile="solo", humans=config.humans[:1])
    write_config(alone, settings(scene))
    scene.guard.config = alone
    scene.guard.start()
    rewrite(scene, lambda text: text.replace("changes_per_minute = 60", "changes_per_minute = 7"))
    done = scene.guard.propose("olga")
    assert done["state"] == "sealed"
    scene.guard.opened(str(done["configuration"]))
    # Nobody else's signature does, and none without a terminal.
    with pytest.raises(SignoffError):
        scene.guard.propose("ana")
    rewrite(scene, lambda text: text.replace("changes_per_minute = 7", "changes_per_minute = 8"))
    assert signoff(scene.guard, "apply", "--as", "olga").code == 2


def test_status_says_from_the_files_what_it_can_when_the_settings_are_gone(scene: Scene) -> None:
    started(scene)
    scene.guard.stop()
    settings(scene).write_text("[[[")
    ran = signoff(scene.guard, "status")
    assert ran.code == 1
    assert "receipts" in ran.out
    assert "is not TOML" in ran.out
