"""Changing the configuration: a candidate is read, proved and compared here, whatever the
client says of it, then goes the way of every action, and is sealed when people signed it.

A candidate is texts. They are kept under their digest until somebody signs for that digest;
nothing is read from disk for them, so nothing on disk can be exchanged for them.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from signoff.config import (
    Config,
    ConfigurationTexts,
    changed_settings,
    check_stays,
)
from signoff.faces.backend import Json
from signoff.house import House
from signoff.model.action import Action, Principal
from signoff.model.errors import (
    ConfigInvalid,
    ExecutionFailed,
    PolicyInvalid,
    Refused,
    SignoffError,
    StateConflict,
)
from signoff.model.ports import Outcome, SealConfiguration
from signoff.model.receipt import Mark, Receipt
from signoff.model.values import frozen
from signoff.policy.bundle import Bundle
from signoff.standing import Standing
from signoff.surfaces.control import change_configuration
from signoff.wiring import loadable, rehearse

CANDIDATES_MOST = 8
LINES_MOST = 500
COMPARE_SECONDS = 20.0
_ONE_SOLVER = threading.Lock()
"""The solver's state is the process's own: one candidate at a time."""


@dataclass(frozen=True)
class Candidate:
    """One configuration that could be sealed, with what it would change, in words."""

    texts: ConfigurationTexts
    config: Config
    changes: tuple[str, ...]
    rulings: tuple[str, ...]
    proof: str

    def told(self) -> dict[str, object]:
        """What those who sign are shown."""
        return {"changes": self.changes, "rulings": self.rulings, "proof": self.proof}


class Changing:
    """Candidates for the sealed configuration of one house."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._candidates: OrderedDict[str, Candidate] = OrderedDict()

    @property
    def in_force(self) -> Standing:
        """What is sealed now."""
        state = self._house.drift.standing
        if state is None:
            raise Refused("nothing is sealed yet", "the daemon has not started", "signoff status")
        return state

    def configuration(self) -> Json:
        """The texts that are sealed, and their digest."""
        state = self.in_force
        return {"digest": state.texts.digest, "texts": state.texts.as_data()}

    async def consider(self, given: Mapping[str, object]) -> Json:
        """Read, check, prove and compare a candidate, and keep it. Raises `PolicyInvalid`
        when it could not be run: nobody is asked to sign what would not load."""
        state = self.in_force
        candidate = await asyncio.to_thread(_considered, given, state, self._house.bundle)
        try:
            await rehearse(candidate.config, self._house)
        except SignoffError as error:
            raise PolicyInvalid(error.what, error.why, error.next_step) from error
        digest = candidate.texts.digest
        self._candidates[digest] = candidate
        self._candidates.move_to_end(digest)
        if len(self._candidates) > CANDIDATES_MOST:
            self._candidates.popitem(last=False)
        return {"digest": digest, "before": state.texts.digest, **candidate.told()}

    def action(self, digest: str) -> Action:
        """The action that seals the candidate of that digest in place of what is sealed."""
        candidate = self._candidates.get(digest)
        if candidate is None:
            raise Refused(
                f"no configuration `{digest[:12]}` was shown to this daemon",
                "it forgets what nobody signed for when it starts again",
                "signoff apply",
            )
        before = self.in_force.texts.digest
        if digest == before:
            raise Refused("this configuration is sealed already", "", "signoff status")
        content = frozen(**candidate.texts.as_data())
        return change_configuration(content, digest, before, candidate.told())


class Sealing:
    """The executor of a change of the configuration: it seals, and has the house opened anew."""

    def __init__(
        self, house: House, human: str, signers: tuple[str, ...], record: Mapping[str, object]
    ) -> None:
        """`human` asked for it, `signers` signed the hold; `record` is what of the human's
        own proof goes into the receipt."""
        self._house, self._human, self._signers, self._record = house, human, signers, record

    async def execute(self, action: Action, *, original: bool, until: str) -> Outcome:
        """Seal what was signed, in one transaction with its receipt.

        The texts come from the action that people signed; they are read and proved once
        more, so that nothing is sealed that would not load.
        """
        house, members = self._house, action.parameters
        state = house.drift.standing
        content, named = members.get("content"), members.get("configuration")
        if state is None or not isinstance(content, Mapping) or not isinstance(named, str):
            raise ExecutionFailed("not a configuration", "", "")
        try:
            candidate = await asyncio.to_thread(
                _considered, content, state, house.bundle, compare=False
            )
            await rehearse(candidate.config, house)
        except SignoffError as error:
            # Nothing was done yet, whatever went wrong.
            return Outcome(False, str(error), refused=True)
        if candidate.texts.digest != named or members.get("before") != state.texts.digest:
            return Outcome(False, "another configuration is in force by now", refused=True)
        receipt = self._receipt(named, state, candidate)
        change = SealConfiguration(content, named, state.texts.digest)
        try:
            sealed = await house.store.append(receipt, change)
        except StateConflict as error:
            # Of two that were signed at the same time, one is sealed.
            return Outcome(False, str(error), refused=True)
        how = str(receipt.detail["how"])
        made = Standing(candidate.texts, candidate.config, sealed.index, receipt.time_ms, how)
        house.drift.standing = made
        house.drift.trouble = await asyncio.to_thread(house.seal, made)
        house.drift.changed.set()
        return Outcome(True)

    def _receipt(self, named: str, state: Standing, candidate: Candidate) -> Receipt:
        how = f"asked for by {self._human}"
        how += f", signed by {' and '.join(self._signers)}" if self._signers else ""
        return Receipt(
            mark=Mark.SEALED,
            time_ms=self._house.clock.now_ms(),
            action_id="",
            principal=Principal("", "", self._human),
            gate="control",
            level=self._house.level,
            detail=frozen(
                act="apply",
                configuration=named,
                before=state.texts.digest,
                how=how,
                changes=candidate.changes,
                **self._record,
            ),
        )

    def reading(self) -> Sealing:
        """A configuration is only ever changed."""
        return self


def _considered(
    given: Mapping[str, object], state: Standing, now: Bundle, *, compare: bool = True
) -> Candidate:
    """Read, check, prove and compare. Raises `PolicyInvalid` for what could not run."""
    try:
        texts = ConfigurationTexts.from_data(given)
        config = texts.config()
        check_stays(state.config, config)
        _check_place(state.config, config)
        with _ONE_SOLVER:
            bundle = loadable(config)
            rulings = _rulings(now, state.config, bundle, config) if compare else ()
    except ConfigInvalid as error:
        raise PolicyInvalid(error.what, error.why, error.next_step) from error
    changes = changed_settings(state.config, config)
    return Candidate(texts, config, _shown(changes), _shown(rulings), bundle.safeguard)


def _rulings(old: Bundle, settings: Config, new: Bundle, candidate: Config) -> tuple[str, ...]:
    """Which requests would be ruled differently, one concrete example of each kind."""
    if old.digest == new.digest:
        return ("no request is ruled differently: policies and what they see are the same",)
    moved = settings.place_rules() != candidate.place_rules()
    places = ("what lies in which environment changes: read `map` above",) if moved else ()
    # The solver is imported by those who compare, and not by every start.
    from signoff.policy.askable import Candidate as Side
    from signoff.policy.diff import diff

    found = diff(Side(old, settings), Side(new, candidate), seconds=COMPARE_SECONDS)
    lines = [
        f"{group.first.direction.value}: {group.first.words}; "
        + _unsigned(str(group.first.asked_before), str(group.first.asked_after))
        for group in found.groups
    ]
    lines += [f"nobody knows: {line}" for line in found.unknown]
    found_none = ("within an environment no request was found that is ruled differently",)
    return (*places, *(lines or found_none))


def _unsigned(before: str, after: str) -> str:
    if before == after:
        return f"unsigned it is {before}, as before: who signs makes the difference"
    return f"it was {before}, it would be {after}"


def _check_place(now: Config, candidate: Config) -> None:
    """Raise `ConfigInvalid` when the gate could not listen where the candidate says."""
    old, new = now.gate, candidate.gate
    if (old.host, old.port) == (new.host, new.port) or not new.port:
        return
    with socket.socket(socket.AF_INET6 if ":" in new.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((new.host, new.port))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ConfigInvalid(
                f"the gate could not listen on `{new.host}:{new.port}`", reason, "set another port"
            ) from error


def _shown(lines: tuple[str, ...]) -> tuple[str, ...]:
    if len(lines) <= LINES_MOST:
        return lines
    left = len(lines) - LINES_MOST
    return (*lines[:LINES_MOST], f"and {left} more: read the files before you sign")
