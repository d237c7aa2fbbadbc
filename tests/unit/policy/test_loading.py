"""No bundle loads unproved: settings become a proved bundle, or one clear refusal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from signing import Pen
from signoff.config import Config, parse_config
from signoff.model.action import Principal
from signoff.model.decision import Ruling
from signoff.model.effect import Reversibility, Verb
from signoff.model.errors import PolicyInvalid
from signoff.model.ports import Facts
from signoff.policy import loading
from signoff.policy.bundle import PROVED, SAFEGUARD, load_bundle
from signoff.policy.cache import ProofCache, cache_key
from signoff.policy.engine import CedarJudge
from signoff.policy.loading import bundle_of, prove_settings, proved_bundle, refusal
from signoff.policy.premises import premises
from signoff.policy.proofs import Outcome, Proof
from signoff.policy.prove import prove
from unit.policy.test_engine import READ, asked, effect

AGENT = Principal("deployer", "R-1", "olga")
OTHERS = frozenset({"ana", "bo", "cy"})


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds a proof that another one made."""
    monkeypatch.setattr(loading, "_made", {})


def configured(folder: Path, settings: str = "", policy: str = "", profile: str = "team") -> Config:
    """Settings of four humans, and what is added to them."""
    text = f'profile = "{profile}"\nstate_dir = "state"\n'
    if policy:
        (folder / "own.cedar").write_text(policy)
        text += '[policies]\nextra = ["own.cedar"]\n'
    for name in ("olga", "ana", "bo", "cy") if profile == "team" else ("olga",):
        text += f'[[human]]\nname = "{name}"\nkeys = ["{Pen(name).enrolled.public}"]\n'
    return parse_config(text + settings, folder / "signoff.toml")


@pytest.mark.parametrize("profile", ["team", "solo"])
def test_the_shipped_policies_are_proved_under_plain_settings(tmp_path, profile: str) -> None:
    config = configured(tmp_path, profile=profile)
    bundle = proved_bundle(config)
    assert bundle.safeguard == PROVED
    assert bundle.digest == bundle_of(config).digest


def test_what_was_only_compiled_does_not_say_it_is_proved(tmp_path) -> None:
    assert bundle_of(configured(tmp_path)).safeguard == SAFEGUARD


def test_a_request_that_breaks_the_safeguard_is_told_in_words_with_the_line(tmp_path) -> None:
    settings = '[[quorum]]\nagents = ["deployer"]\nirreversible = 1\n'
    with pytest.raises(PolicyInvalid) as caught:
        proved_bundle(configured(tmp_path, settings))
    error = caught.value
    assert error.exit_code == 4
    assert "signoff.toml` line 15: the safeguard does not hold" in error.what
    assert "agent `deployer`" in error.why
    assert "1 person signed" in error.why
    assert "`production-signed`" in error.why
    assert error.next_step.endswith("line 15")


def test_the_request_of_a_counterexample_is_really_allowed(tmp_path) -> None:
    config = configured(tmp_path, '[[quorum]]\nagents = ["deployer"]\nirreversible = 1\n')
    judge = CedarJudge(bundle_of(config))
    gone = asked(effect(Verb.DELETE, reversibility=Reversibility.NONE))
    granted = frozenset({("production", "delete")})
    one = Facts(approvers=frozenset({"ana"}), granted=granted)
    assert judge.decide(AGENT, gone, one).ruling is Ruling.ALLOW
    assert judge.decide(replace(AGENT, agent="other"), gone, one).ruling is not Ruling.ALLOW


def test_what_the_solver_could_not_tell_does_not_load(tmp_path) -> None:
    unsure = Proof(Outcome.UNKNOWN, unknown=("the solver gave up", "twice"), digest="x")
    error = refusal(unsure, bundle_of(configured(tmp_path)))
    assert error.exit_code == 4
    assert "not proved" in error.what
    assert "the solver gave up (and 1 more)" in error.why


def test_a_prover_that_answers_unknown_keeps_everything_from_loading(tmp_path, monkeypatch) -> None:
    config = configured(tmp_path)

    def unsure(bundle, *, premises, progress):
        return Proof(Outcome.UNKNOWN, digest=loading.proof_digest(bundle, premises))

    monkeypatch.setattr(loading, "prove", unsure)
    with pytest.raises(PolicyInvalid, match="not proved"):
        proved_bundle(config)


def test_a_proof_of_another_bundle_counts_for_nothing(tmp_path, monkeypatch) -> None:
    def foreign(bundle, *, premises, progress):
        return Proof(Outcome.PROVED, digest="of something else")

    monkeypatch.setattr(loading, "prove", foreign)
    with pytest.raises(PolicyInvalid, match="another bundle"):
        proved_bundle(configured(tmp_path))


def test_a_kept_proof_is_used_for_the_same_settings_and_for_no_others(
    tmp_path, monkeypatch
) -> None:
    (tmp_path / "cache").mkdir()
    cache = ProofCache(tmp_path / "cache" / "proofs.json", cache_key(b"k" * 32))
    config = configured(tmp_path)
    made = prove_settings(config, cache=cache)
    asked_again: list[str] = []

    def noted(bundle, *, premises, progress):
        asked_again.append(bundle.digest)
        return replace(made, digest=loading.proof_digest(bundle, premises))

    monkeypatch.setattr(loading, "_made", {})
    monkeypatch.setattr(loading, "prove", noted)
    assert prove_settings(config, cache=cache) == made
    assert not asked_again
    prove_settings(configured(tmp_path, "[limits]\nchanges_per_minute = 7\n"), cache=cache)
    prove_settings(configured(tmp_path, policy='@id("a") @why("b") '
                              'forbid (principal, action, resource) when { context.halted };'),
                   cache=cache)  # fmt: skip
    assert len(asked_again) == 2


def test_another_version_of_the_prover_proves_again(tmp_path, monkeypatch) -> None:
    from signoff.policy import prove as prover

    config = configured(tmp_path)
    before = prove_settings(config).digest
    monkeypatch.setattr(prover, "PROVER", "another")
    assert prove_settings(config).digest != before


def test_a_daemon_denies_production_to_everybody_while_nothing_is_proved(tmp_path) -> None:
    config = configured(tmp_path)
    guarding = CedarJudge(bundle_of(config), needs_proof=True)
    denied = guarding.decide(AGENT, READ, Facts())
    assert (denied.ruling, denied.reasons) == (Ruling.DENY, ("not-proved",))
    human = guarding.decide(Principal("", "", "olga"), READ, Facts())
    assert human.ruling is Ruling.DENY
    attic = asked(effect(Verb.READ, "attic", Reversibility.EXACT))
    assert guarding.decide(AGENT, attic, Facts()).reasons == ("not-proved",)
    staging = asked(effect(Verb.READ, "staging", Reversibility.EXACT))
    assert guarding.decide(AGENT, staging, Facts()).ruling is Ruling.ALLOW


def test_explaining_needs_no_proof_and_a_proved_daemon_allows_what_it_would(tmp_path) -> None:
    config = configured(tmp_path)
    explained = CedarJudge(bundle_of(config)).decide(AGENT, READ, Facts())
    assert (explained.ruling, explained.safeguard) == (Ruling.ALLOW, SAFEGUARD)
    proved = CedarJudge(proved_bundle(config), needs_proof=True).decide(AGENT, READ, Facts())
    assert (proved.ruling, proved.safeguard) == (Ruling.ALLOW, PROVED)


def test_the_sealed_text_of_a_policy_counts_and_not_the_file(tmp_path) -> None:
    config = configured(tmp_path, policy='@id("a") @why("b") forbid (principal, action, resource);')
    path = str(tmp_path / "own.cedar")
    sealed = '@id("sealed") @why("b") forbid (principal, action, resource) when { context.halted };'
    bundle = bundle_of(replace(config, files={path: sealed}))
    assert "sealed" in bundle.by_id
    assert "a" not in bundle.by_id
    with pytest.raises(PolicyInvalid, match="was not read"):
        bundle_of(replace(config, files={}))


@pytest.mark.parametrize("people", [13, 60])
def test_many_people_in_many_groups_do_not_keep_the_solver_from_an_answer(people: int) -> None:
    humans = {f"human-{n}": (f"group-{n % 20}",) for n in range(people)}
    bundle = load_bundle("team", humans=humans)
    assert prove(bundle, premises=premises(bundle)).outcome is Outcome.PROVED
