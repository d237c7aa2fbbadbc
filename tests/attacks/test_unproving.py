"""Getting the daemon to run what no proof stands behind."""

from __future__ import annotations

import json

import pytest

from attacks.commands import Ran, signoff
from attacks.conftest import MakeScene, Scene
from signoff.config import load_config, read_secret
from signoff.policy.bundle import PROVED
from signoff.policy.cache import ProofCache, cache_key
from signoff.policy.loading import bundle_of
from signoff.policy.premises import premises
from signoff.policy.proofs import Outcome, Proof
from signoff.policy.prove import proof_digest

pytestmark = pytest.mark.real

NOBODY = '\n[[quorum]]\nagents = ["agent"]\nirreversible = 0\n'


def with_settings(scene: Scene, added: str) -> int:
    """Settings with something added; the line on which that begins."""
    path = scene.guard.config.path
    assert path is not None
    before = path.read_text()
    path.write_text(before + added)
    return before.count("\n") + 2


def refused(scene: Scene, line: int) -> Ran:
    ran = signoff(scene.guard, "up")
    assert ran.code == 4, (ran.code, ran.err)
    assert f"line {line}: the safeguard does not hold" in ran.err
    assert "nobody signed" in ran.err
    assert "Traceback" not in ran.err
    return ran


def forged(scene: Scene, key: bytes) -> None:
    """A proof of exactly these settings, written beside the state under some key."""
    config = load_config(scene.guard.config.path)
    bundle = bundle_of(config)
    digest = proof_digest(bundle, premises(bundle, config))
    config.state_dir.mkdir(exist_ok=True)
    cache = ProofCache(config.state_dir / "cache" / "proofs.json", key)
    cache.keep(Proof(Outcome.PROVED, digest=digest))
    assert cache.find(digest) is not None


def test_settings_under_which_nobody_has_to_sign_do_not_start(own: MakeScene) -> None:
    scene = own(start=False)
    ran = refused(scene, with_settings(scene, NOBODY))
    assert "agent `agent`" in ran.err
    assert "`production-signed`" in ran.err


def test_texts_that_begin_alike_up_to_a_nul_do_not_make_everything_provable(
    own: MakeScene,
) -> None:
    # To the solver's C strings they had one name, and "these two differ" was then a
    # contradiction, from which anything follows.
    scene = own(start=False)
    policy = scene.guard.config.state_dir.parent / "alike.cedar"
    alike = r'context.name == "a\0b" || context.name == "a\0c"'
    forbid = "forbid (principal is Agent, action, resource)"
    policy.write_text(f'@id("alike") @why("nothing") {forbid} when {{{alike}}};')
    policy.chmod(0o600)
    with_settings(scene, f'\n[policies]\nextra = ["{policy}"]\n')
    refused(scene, with_settings(scene, NOBODY))


def test_a_proof_written_by_somebody_without_the_vaults_key_is_not_believed(
    own: MakeScene,
) -> None:
    scene = own(start=False)
    line = with_settings(scene, NOBODY)
    forged(scene, cache_key(b"a guess of the key".ljust(32)))
    refused(scene, line)


def test_only_the_vaults_key_makes_a_proof_that_is_believed(own: MakeScene) -> None:
    # What the test above would look like if the key did not matter.
    scene = own(start=False)
    with_settings(scene, NOBODY)
    secret = read_secret(scene.guard.config.vault.key_file, "the vault key")
    forged(scene, cache_key(secret))
    scene.guard.start()
    assert scene.guard.control.status()["safeguard"] == PROVED


def test_what_runs_is_proved_and_says_so_in_status_and_receipts(own: MakeScene) -> None:
    scene = own(start=False)
    with_settings(scene, '\n[[quorum]]\nagents = ["agent"]\nundoable = 2\nirreversible = 3\n')
    scene.guard.start()
    scene.key = scene.guard.key(agent="agent")
    assert scene.guard.control.status()["safeguard"] == PROVED
    assert scene.held(scene.put(2))["quorum"] == 2
    rulings = [r["decision"] for r in scene.receipts() if r.get("decision")]
    assert rulings
    assert {r["safeguard"] for r in rulings} == {PROVED}
    assert scene.arrived() == []
    scene.guard.stop()
    kept = json.loads((scene.guard.config.state_dir / "cache" / "proofs.json").read_text())
    assert len(kept["proofs"]) == 1
