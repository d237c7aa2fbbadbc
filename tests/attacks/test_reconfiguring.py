"""Attempts to change what Signoff believes: settings, humans, policies, mappings, observing.

An agent with the operator's own login (level `advisory`) can write the operator's files. What
runs is what is sealed: edited files are told and recorded, and take effect once people signed
(`test_applying.py`). The first start refuses what others could have written.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from attacks.commands import is_root, signoff
from attacks.conftest import MakeScene, Scene

PERMIT_ALL = '@id("mine") @why("because") permit (principal, action, resource);\n'


def settings(scene: Scene) -> Path:
    """The settings file."""
    assert scene.guard.config.path is not None
    return scene.guard.config.path


def with_policy(scene: Scene, text: str) -> Path:
    """A policy file of the operator's own, named in the settings."""
    policy = settings(scene).with_name("own.cedar")
    policy.write_text(text)
    policy.chmod(0o644)
    path = settings(scene)
    path.write_text(path.read_text() + f'\n[policies]\nextra = ["{policy}"]\n')
    return policy


def refused(scene: Scene, *words: str) -> None:
    """The daemon does not start, and says why in words."""
    ran = signoff(scene.guard, "up")
    assert ran.code == 1, (ran.code, ran.err)
    for word in words:
        assert word in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_settings_that_others_can_write_are_not_read(own: MakeScene, mode: int) -> None:
    scene = own(start=False)
    settings(scene).chmod(mode)
    refused(scene, "mode", "chmod go-w")


def test_settings_in_a_directory_that_others_can_write_are_not_read(own: MakeScene) -> None:
    scene = own(start=False)
    settings(scene).parent.chmod(0o777)
    refused(scene, "chmod go-w")


@pytest.mark.skipif(not is_root(), reason="only root can give a file away")
def test_settings_of_another_owner_are_not_read(own: MakeScene) -> None:
    scene = own(start=False)
    os.chown(settings(scene), 12345, 12345)
    refused(scene, "belongs to uid 12345")


def test_a_symbolic_link_does_not_lead_to_settings_elsewhere(own: MakeScene) -> None:
    scene = own(start=False)
    open_place = scene.guard.folder / "work-tree"
    open_place.mkdir(mode=0o777)
    open_place.chmod(0o777)
    target = open_place / "signoff.toml"
    target.write_text(settings(scene).read_text())
    settings(scene).unlink()
    settings(scene).symlink_to(target)
    refused(scene, "chmod go-w")


@pytest.mark.parametrize("what", ["ledger", "vault"])
def test_a_key_file_that_others_can_read_is_not_used(own: MakeScene, what: str) -> None:
    scene = own(start=False)
    config = scene.guard.config
    key = config.ledger.key_file if what == "ledger" else config.vault.key_file
    key.chmod(0o644)
    refused(scene, "chmod 600")


def test_a_state_directory_that_others_can_write_is_not_used(own: MakeScene) -> None:
    scene = own(start=False)
    scene.guard.config.state_dir.mkdir(exist_ok=True)
    scene.guard.config.state_dir.chmod(0o777)
    refused(scene, "chmod go-w")


def test_a_policy_file_that_others_can_write_is_not_loaded(own: MakeScene) -> None:
    scene = own(start=False)
    with_policy(scene, PERMIT_ALL).chmod(0o666)
    refused(scene, "chmod go-w")


def test_a_policy_that_permits_everything_takes_no_human_away(own: MakeScene) -> None:
    scene = own(start=False)
    with_policy(scene, PERMIT_ALL)
    scene.guard.start()
    scene.key = scene.guard.key()
    assert scene.held(scene.disarm())["quorum"] == 2
    assert scene.held(scene.put(2))["quorum"] == 1
    assert "ticket" not in scene.try_call("cloudformation", "DeleteStack", StackName="prod")
    assert scene.arrived() == []


def test_production_is_not_observed_on_one_persons_word(own: MakeScene) -> None:
    scene = own(start=False)
    path = settings(scene)
    path.write_text(
        path.read_text()
        + '\n[observe]\nenvironments = ["production"]\nuntil = "2099-12-31"\nsigned = []\n'
    )
    ran = signoff(scene.guard, "up", "--observe")
    assert ran.code == 1, ran.err
    assert "two enrolled humans must sign" in ran.err


def test_production_is_not_declared_disposable(own: MakeScene) -> None:
    scene = own(start=False)
    path = settings(scene)
    path.write_text(path.read_text() + "\n[environment.production]\ndisposable = true\n")
    refused(scene, "production")


def test_a_row_that_makes_everything_development_is_not_read(own: MakeScene) -> None:
    scene = own(start=False)
    path = settings(scene)
    path.write_text(path.read_text() + '\n[[map]]\nenvironment = "development"\n')
    refused(scene, "matches everything")


def test_an_endpoint_that_would_receive_the_real_signatures_in_the_clear_is_not_read(
    own: MakeScene,
) -> None:
    scene = own(start=False)
    path = settings(scene)
    path.write_text(path.read_text().replace(scene.aws.url, "http://evil.example:80"))
    refused(scene, "https")


def test_an_unknown_key_is_not_ignored(own: MakeScene) -> None:
    scene = own(start=False)
    path = settings(scene)
    path.write_text('two_person = "off"\n' + path.read_text())
    refused(scene, "two_person")


def test_shell_variables_of_the_agent_reach_no_daemon(scene: Scene) -> None:
    before = scene.guard.control.status()["bundle"]
    ran = signoff(
        scene.guard, "explain", "--batch", "/dev/null", SIGNOFF_OBSERVE="1", SIGNOFF_OFF="1"
    )
    assert ran.code == 0, ran.err
    assert scene.guard.control.status()["bundle"] == before
    assert scene.put(2).status == 403
