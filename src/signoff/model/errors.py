"""Every error Signoff raises: what happened, why, and the next step.

    SignoffError
    ├── MalformedRequest        the agent's request could not be read (its fault)
    ├── Refused                 a request that is understood and will not be carried out
    ├── ConfigInvalid           the owner's settings (operator)
    ├── PolicyInvalid           the policy's author
    ├── SignOffInvalid          a signature that does not count
    ├── WorldUnanswered         the target did not answer a question in time
    ├── CaptureFailed           the undo could not be saved, so nothing was done
    ├── ExecutionFailed         the target was asked and said no, or did not answer
    ├── LedgerUnavailable       no receipt can be written: everything stops (operator)
    │   └── StateConflict       the state moved between reading and writing it
    ├── ProofInvalid            the ledger does not verify (tampering)
    └── DaemonUnreachable       nobody answers on the socket

Messages are lower case, without a final period; user input stands in backticks;
numbers have their unit and bound. Pure.
"""

from __future__ import annotations


class SignoffError(Exception):
    """What went wrong, why, and what to do next, as three texts of one line each.

    `exit_code` is the process exit code of the command line contract.
    """

    exit_code = 1

    def __init__(self, what: str, why: str = "", next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.next_step = next_step

    def __str__(self) -> str:
        text = f"{self.what}: {self.why}" if self.why else self.what
        return f"{text}; next: {self.next_step}" if self.next_step else text


class MalformedRequest(SignoffError):
    """The request could not be read as one unambiguous action; it was not forwarded."""

    exit_code = 2


class Refused(SignoffError):
    """The request is understood and will not be carried out (denied, frozen, halted)."""

    exit_code = 2


class ConfigInvalid(SignoffError):
    """The settings do not load: the daemon does not start, or keeps the last good ones."""


class PolicyInvalid(SignoffError):
    """A policy does not parse, validate, or lacks its `@id`."""

    exit_code = 4


class SignOffInvalid(SignoffError):
    """A sign-off that does not count: wrong key, wrong hold, reused, expired or altered."""

    exit_code = 2


class WorldUnanswered(SignoffError):
    """The target did not answer a read-only question in time; what it would say is unknown."""


class CaptureFailed(SignoffError):
    """What is needed to take the action back could not be saved, so nothing was done."""

    exit_code = 2


class ExecutionFailed(SignoffError):
    """The target was asked and refused, or its answer never came."""


class LedgerUnavailable(SignoffError):
    """No receipt can be written, so nothing may happen."""

    exit_code = 5


class StateConflict(LedgerUnavailable):
    """The state moved between reading and writing it; nothing was written."""

    exit_code = 1


class ProofInvalid(SignoffError):
    """The ledger, a checkpoint or a proof does not verify."""

    exit_code = 5


class DaemonUnreachable(SignoffError):
    """Nobody answers on the daemon's socket."""
