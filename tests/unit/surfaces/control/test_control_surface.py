"""A change of the configuration, as those who decide about it see it."""

from __future__ import annotations

from dataclasses import replace

from signoff.model.effect import Reversibility, Verb
from signoff.model.values import digest, frozen
from signoff.surfaces.base import Captured, Places
from signoff.surfaces.control import CHANGE, SURFACE, change_configuration

TEXTS = frozen(path="/etc/signoff/signoff.toml", settings="profile", files={})
TOLD: dict[str, object] = {"changes": ("one", "two"), "rulings": ("three",), "proof": "proved"}


def test_a_change_of_the_configuration_widens_rights_in_production_for_good() -> None:
    action = change_configuration(TEXTS, digest(TEXTS), "aa", TOLD)
    seen = SURFACE.effects(action, {}, Places())
    (effect,) = seen.effects
    assert effect.verb is Verb.PERMIT
    assert effect.resource.uid == f"signoff:configuration/{digest(TEXTS)[:12]}"
    assert effect.resource.environment == "production"
    assert effect.reversibility is Reversibility.NONE
    assert effect.bounds[0].most == 2
    assert not seen.unknown
    assert SURFACE.questions(action, {}) == ()
    assert SURFACE.capture(seen, {}) == ()
    assert "signoff apply" in str(SURFACE.restore(action, Captured((), {}, {}, {})).residue)


def test_texts_that_are_not_those_of_the_digest_are_not_understood() -> None:
    action = change_configuration(TEXTS, digest("others"), "aa", TOLD)
    seen = SURFACE.effects(action, {}, Places())
    assert [e.verb for e in seen.effects] == [Verb.UNKNOWN]
    assert seen.unknown


def test_what_is_signed_is_the_texts_and_what_they_take_the_place_of() -> None:
    action = change_configuration(TEXTS, digest(TEXTS), "aa", TOLD)
    other = frozen(path="/etc/signoff/signoff.toml", settings="profile ", files={})
    digests = {
        action.digest,
        change_configuration(other, digest(other), "aa", TOLD).digest,
        change_configuration(TEXTS, digest(TEXTS), "bb", TOLD).digest,
        change_configuration(TEXTS, digest("x"), "aa", TOLD).digest,
    }
    assert len(digests) == 4
    # How the difference is worded is shown, and is not another action.
    assert change_configuration(TEXTS, digest(TEXTS), "aa", {**TOLD, "proof": ""}) == replace(
        action, public=frozen(configuration=digest(TEXTS), before="aa", **{**TOLD, "proof": ""})
    )


def test_it_cannot_be_asked_for_in_words() -> None:
    action = SURFACE.parse({"name": CHANGE, "content": {}, "configuration": ""}, {})
    assert action.unknown
