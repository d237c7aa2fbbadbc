"""Velocity, repetition and budgets as numbers for the policy. Pure.

The breaker decides nothing: it counts, per run and per agent across its runs, and a
policy says how much is too much. Time is an argument and never goes back. Memory is
bounded; where a recent thing had to be forgotten or found no room, the number given is
`SATURATED`, so that forgetting never makes anyone look calmer than they were. Only what
was idle for an hour makes room without that, and takes its totals with it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from signoff.model.action import Principal

SECOND_MS, MINUTE_MS, HOUR_MS = 1_000, 60_000, 3_600_000
SATURATED = 2**31
"""Stands for `more than anybody could count`."""
LONGEST_PERIOD = 3
_HISTORY = 120


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is remembered: runs, agents, and denied effects of one run or agent."""

    principals: int = 10_000
    denials: int = 1_000


@dataclass(frozen=True, slots=True)
class Attempt:
    """One action that was asked for and how it ended.

    `effects` are (verb, resource) pairs, `outcome` any stable word (`allow`, `deny`,
    `hold`, `failed ThrottlingException`); `affected` counts what it touched (rows,
    objects), for budgets.
    """

    digest: str
    outcome: str
    is_change: bool
    effects: tuple[tuple[str, str], ...] = ()
    denied: bool = False
    irreversible: bool = False
    affected: int = 0


@dataclass(frozen=True, slots=True)
class Rates:
    """The numbers of one run, or of one agent over all its runs.

    `calls_last_minute` and `changes_last_minute` count a sliding window of 60 s, at most
    one second too wide. `changes` and `affected` are totals since the run or agent was
    first seen: what budgets are held against.
    """

    calls_last_minute: int = 0
    changes_last_minute: int = 0
    irreversible_last_hour: int = 0
    changes: int = 0
    affected: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """Everything a decision may rest on, for the action that is asked for now.

    `repeats` is how often this very action just ended in the same way, alone or within
    an alternation of two or three; `denials` how often one of its effects was denied to
    this run or agent within the last hour, in whatever words it was asked for.
    """

    run: Rates
    agent: Rates
    repeats: int = 0
    denials: int = 0

    @property
    def calls_last_minute(self) -> int:
        """The larger of the run's and the agent's: a new run is no new start."""
        return max(self.run.calls_last_minute, self.agent.calls_last_minute)

    @property
    def changes_last_minute(self) -> int:
        """The larger of the run's and the agent's."""
        return max(self.run.changes_last_minute, self.agent.changes_last_minute)


@dataclass(frozen=True, slots=True)
class Pace:
    """The numbers the policies compare: the larger of the run's and its agent's."""

    calls_last_minute: int
    changes_last_minute: int
    repeats: int


class Breaker:
    """What was asked lately, by whom. One per daemon; not shared between threads."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._tracks: OrderedDict[tuple[str, str], _Track] = OrderedDict()
        self._now_ms = 0

    def record(self, principal: Principal, attempt: Attempt, now_ms: int) -> None:
        """Remember one attempt. A time before the latest seen is taken as the latest."""
        now = self._advance(now_ms)
        for key in _keys(principal):
            track = self._track(key)
            if track is not None:
                track.record(attempt, now, self._limits.denials)

    def counts(
        self,
        principal: Principal,
        digest: str,
        now_ms: int,
        *,
        is_change: bool = True,
        effects: Iterable[tuple[str, str]] = (),
    ) -> Counts:
        """The numbers for an action asked for now, before it is recorded.

        A principal that found no room in memory counts as having done everything.
        """
        now = self._advance(now_ms)
        asked = tuple(effects)
        run, agent = (self._tracks.get(key) for key in _keys(principal))
        full = self._is_full(now)
        none = Counts(_FULL, _FULL, SATURATED, SATURATED) if full else Counts(Rates(), Rates())
        return Counts(
            run=run.rates(now) if run else none.run,
            agent=agent.rates(now) if agent else none.agent,
            repeats=max(t.repeats(digest, is_change) if t else none.repeats for t in (run, agent)),
            denials=max(t.denials(asked, now) if t else none.denials for t in (run, agent)),
        )

    def pace(self, principal: Principal, digest: str, now_ms: int, *, is_change: bool) -> Pace:
        """The part of `counts` that every decision rests on."""
        now = self._advance(now_ms)
        calls = changes = repeats = 0
        for key in _keys(principal):
            track = self._tracks.get(key)
            if track is not None:
                calls = max(calls, track.calls.count(now))
                changes = max(changes, track.change_calls.count(now))
                repeats = max(repeats, track.repeats(digest, is_change))
            elif self._is_full(now):
                return Pace(SATURATED, SATURATED, SATURATED)
        return Pace(calls, changes, repeats)

    def forget(self, run: str) -> None:
        """Drop what is known of a run; its agent's numbers stay."""
        self._tracks.pop(("run", run), None)

    def __len__(self) -> int:
        return len(self._tracks)

    def _advance(self, now_ms: int) -> int:
        self._now_ms = max(self._now_ms, now_ms)
        return self._now_ms

    def _track(self, key: tuple[str, str]) -> _Track | None:
        if key in self._tracks:
            self._tracks.move_to_end(key)
            return self._tracks[key]
        if self._is_full(self._now_ms):
            return None
        if len(self._tracks) >= 2 * self._limits.principals:
            self._tracks.popitem(last=False)
        return self._tracks.setdefault(key, _Track())

    def _is_full(self, now: int) -> bool:
        """Whether there is no room and nothing old enough to be forgotten."""
        if len(self._tracks) < 2 * self._limits.principals:
            return False
        oldest = next(iter(self._tracks.values()))
        return now - oldest.last_ms < HOUR_MS


def _keys(principal: Principal) -> tuple[tuple[str, str], tuple[str, str]]:
    """A run's own track and its agent's; a human's own actions are theirs in both."""
    who = principal.agent or f"human {principal.operator}"
    return ("run", principal.run or who), ("agent", who)


_FULL = Rates(SATURATED, SATURATED, SATURATED, SATURATED, SATURATED)


class _Window:
    """Counts within a sliding window, in buckets; never too few, at most one bucket too many."""

    def __init__(self, width_ms: int, bucket_ms: int) -> None:
        self._width_ms, self._bucket_ms = width_ms, bucket_ms
        self._buckets: deque[tuple[int, int]] = deque()
        self._total = 0

    def add(self, now: int) -> None:
        self._prune(now)
        self._total += 1
        bucket = now // self._bucket_ms
        if self._buckets and self._buckets[-1][0] == bucket:
            self._buckets[-1] = (bucket, self._buckets[-1][1] + 1)
        else:
            self._buckets.append((bucket, 1))

    def count(self, now: int) -> int:
        self._prune(now)
        return self._total

    def _prune(self, now: int) -> None:
        while self._buckets and (self._buckets[0][0] + 1) * self._bucket_ms <= now - self._width_ms:
            self._total -= self._buckets.popleft()[1]


@dataclass
class _Track:
    """What is remembered of one run or one agent."""

    calls: _Window = field(default_factory=lambda: _Window(MINUTE_MS, SECOND_MS))
    change_calls: _Window = field(default_factory=lambda: _Window(MINUTE_MS, SECOND_MS))
    irreversible: _Window = field(default_factory=lambda: _Window(HOUR_MS, MINUTE_MS))
    changes: int = 0
    affected: int = 0
    last_ms: int = 0
    # Reads between two changes must not hide that the changes repeat, so each has its own.
    history: dict[bool, deque[tuple[str, str]]] = field(
        default_factory=lambda: {kind: deque(maxlen=_HISTORY) for kind in (False, True)}
    )
    denied: OrderedDict[tuple[str, str], deque[int]] = field(default_factory=OrderedDict)
    forgot_until_ms: int = 0

    def record(self, attempt: Attempt, now: int, most_denials: int) -> None:
        self.last_ms = now
        self.calls.add(now)
        if attempt.is_change:
            self.change_calls.add(now)
            self.changes += 1
            self.affected += max(0, attempt.affected)
        if attempt.irreversible:
            self.irreversible.add(now)
        self.history[attempt.is_change].append((attempt.digest, attempt.outcome))
        if attempt.denied:
            for effect in attempt.effects:
                self._deny(effect, now, most_denials)

    def _deny(self, effect: tuple[str, str], now: int, most: int) -> None:
        if effect not in self.denied and len(self.denied) >= most:
            _, times = self.denied.popitem(last=False)
            self.forgot_until_ms = max(self.forgot_until_ms, times[-1] + HOUR_MS)
        self.denied.setdefault(effect, deque(maxlen=_HISTORY)).append(now)
        self.denied.move_to_end(effect)

    def rates(self, now: int) -> Rates:
        return Rates(
            calls_last_minute=self.calls.count(now),
            changes_last_minute=self.change_calls.count(now),
            irreversible_last_hour=self.irreversible.count(now),
            changes=self.changes,
            affected=self.affected,
        )

    def denials(self, effects: tuple[tuple[str, str], ...], now: int) -> int:
        if not effects:
            return 0
        if now < self.forgot_until_ms:
            return SATURATED
        times = (self.denied.get(effect, ()) for effect in effects)
        return max((sum(1 for t in ts if t > now - HOUR_MS) for ts in times), default=0)

    def repeats(self, digest: str, is_change: bool) -> int:
        past = self.history[is_change]
        longest = min(LONGEST_PERIOD, len(past))
        # Most actions repeat nothing, and are told apart by a look at the last few.
        found = [period for period in range(1, longest + 1) if past[-period][0] == digest]
        if not found:
            return 0
        whole = tuple(past)
        return max(_repeats(whole, period) for period in found)


def _repeats(past: tuple[tuple[str, str], ...], period: int) -> int:
    """How many whole rounds of `period` the past ends in; this action is their next."""
    length = period
    while length < len(past) and past[-1 - length] == past[-1 - length + period]:
        length += 1
    rounds = length // period
    return rounds if period == 1 or rounds > 1 else 0
