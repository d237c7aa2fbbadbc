"""`signoff audit aws`: policy documents, a dump of the account, or the account itself."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from signoff.faces.cli.audit import present, report_options
from signoff.faces.cli.shared import tell
from signoff.model.errors import SignoffError

if TYPE_CHECKING:
    from signoff.audit.iam.account import Account, Principal
    from signoff.audit.iam.documents import Layer, Policy
    from signoff.audit.iam.judged import Judged
    from signoff.audit.iam.used import Used
    from signoff.config import Config

FILE = click.Path(path_type=Path, dir_okay=False)
READ_MOST = 256 * 1_048_576
"""Largest file that is opened at all, in bytes."""
RECEIPTS_AT_ONCE = 2_000
NEXT = "signoff audit aws --dump account.json"


@click.command()
@click.option("--policy", "policies", type=FILE, multiple=True, help="A policy document; again.")
@click.option("--boundary", type=FILE, help="The permissions boundary beside --policy.")
@click.option("--trust", type=FILE, help="The trust policy beside --policy.")
@click.option("--scp", "scps", type=FILE, multiple=True, help="A service control policy; again.")
@click.option("--session", "sessions", type=FILE, multiple=True, help="A session policy; again.")
@click.option("--manifest", type=FILE, help="A TOML file that names the documents of one role.")
@click.option("--dump", "dumps", type=FILE, multiple=True, help="An account dump; again.")
@click.option("--live", is_flag=True, help="Ask AWS itself; one read-only call.")
@click.option("--profile", default="", help="With --live: the profile that is used.")
@click.option("--region", default="us-east-1", show_default=True, help="With --live.")
@click.option("--endpoint", default="", help="With --live: another address of IAM.")
@click.option("--role", default="", help="The name or ARN of a role or user; else all.")
@click.option("--used", "used_files", type=FILE, multiple=True, help="What was used; again.")
@click.option("--ledger", default="", help="A ledger file, or `configured`: what was used.")
@click.option("--run", default="", help="With --ledger: what this run used.")
@click.option("--write", "folder", type=click.Path(path_type=Path, file_okay=False), help="DIR.")
@click.option("--force", is_flag=True, help="With --write: replace files that are there.")
@report_options
def aws(**given: Any) -> int:
    """What roles could destroy, disarm, disclose or widen, beside what was used.

    Reads policy documents, dumps of `aws iam get-account-authorization-details`, or the
    account itself. --write DIR writes a least-privilege policy and a session policy.
    """
    from signoff.audit.aws import audit_aws

    account = _account(given)
    used = _used(given)
    folder: Path | None = given["folder"]
    if folder is not None and not used:
        why = "a smaller policy holds what was used, and nothing says what that is"
        raise SignoffError("nothing to write", why, "add --used FILE or --ledger configured")
    config = _settings()
    rules = config.place_rules() if config else ()
    named = {r.get("environment", "") for r in rules}
    outside = frozenset(n for n in named if config and not config.is_production(n))
    report, judged = audit_aws(account, given["role"], used, rules, outside, _Progress())
    if folder is not None:
        report = replace(report, written=tuple(_written(folder, judged, given["force"])))
    return present(report, given["as_json"], given["html"], given["tolerance"])


class _Progress:
    """One line on stderr for every second that goes by."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def __call__(self, what: str, done: int, of: int) -> None:
        now = time.monotonic()
        if now - self._told > 1:
            self._told = now
            tell(f"{what}: {done:,} of {of:,}")


def _account(given: Mapping[str, Any]) -> Account:
    """What the options name, as one account. Raises `SignoffError` when it is nothing."""
    from signoff.audit.iam.account import merged, read_dump
    from signoff.audit.iam.documents import Layer

    found = [read_dump(_text(path), str(path)) for path in given["dumps"]]
    if given["live"]:
        from signoff.audit.iam.live import read_account

        config = _settings()
        aws = config.aws if config else None
        profile = given["profile"] or (aws.profile if aws else "")
        endpoint = given["endpoint"] or (aws.endpoint if aws else "")
        found.append(read_account(profile, given["region"], endpoint))
    if given["manifest"]:
        found.append(_manifest(given["manifest"]))
    if given["policies"]:
        found.append(_one_role(given))
    elif given["boundary"] or given["trust"]:
        raise SignoffError("--boundary and --trust belong to a --policy", "", NEXT)
    if not found:
        why = "none of --policy, --manifest, --dump and --live was given"
        raise SignoffError("there is nothing to audit", why, NEXT)
    account = merged(found)
    scps = tuple(_policy(path, Layer.SCP) for path in given["scps"])
    sessions = tuple(_policy(path, Layer.SESSION) for path in given["sessions"])
    return replace(
        account,
        scps=(*account.scps, scps) if scps else account.scps,
        session=(*account.session, *sessions),
        files=(*account.files, *(str(p) for p in (*given["scps"], *given["sessions"]))),
    )


def _one_role(given: Mapping[str, Any]) -> Account:
    from signoff.audit.iam.account import Account

    role = _role(given["role"], given["policies"], given["boundary"], given["trust"], {})
    files = [*given["policies"], *(p for p in (given["boundary"], given["trust"]) if p)]
    return Account((role,), files=tuple(str(p) for p in files))


def _role(
    named: str,
    policies: Iterable[Path],
    boundary: Path | None,
    trust: Path | None,
    tags: Mapping[str, str],
) -> Principal:
    from signoff.audit.iam.account import Principal
    from signoff.audit.iam.documents import Layer

    identity = tuple(_policy(path, Layer.IDENTITY) for path in policies)
    arn = named if named.startswith("arn:") else ""
    return Principal(
        arn=arn,
        name=named.rpartition("/")[2] or " + ".join(p.name for p in identity[:3]),
        identity=identity,
        boundary=_policy(boundary, Layer.BOUNDARY) if boundary else None,
        trust=_policy(trust, Layer.TRUST) if trust else None,
        tags=tags,
    )


MANIFEST = {
    "role": str,
    "policies": list,
    "boundary": str,
    "trust": str,
    "scps": list,
    "session": list,
    "tags": dict,
}


def _manifest(path: Path) -> Account:
    """A role by a TOML file: `role` (its ARN), `policies`, `boundary`, `trust`, `session`,
    `tags`, and `scps` as a list of levels, each a list of files."""
    import tomllib

    from signoff.audit.iam.account import Account
    from signoff.audit.iam.documents import Layer

    try:
        read = tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise SignoffError(f"`{path}` is not TOML", str(error).lower(), "correct it") from error
    for key, value in read.items():
        if key not in MANIFEST or not isinstance(value, MANIFEST[key]):
            known = ", ".join(MANIFEST)
            raise SignoffError(f"`{path}` has a wrong `{key}`", f"it holds {known}", "correct it")
    levels = read.get("scps", [])
    if not all(isinstance(level, list) for level in levels):
        why = "`scps` is a list of levels, each a list of files"
        raise SignoffError(f"`{path}` has wrong `scps`", why, 'scps = [["root.json"]]')
    here = path.parent
    role = _role(
        str(read.get("role", "")),
        [here / str(p) for p in read.get("policies", [])],
        here / read["boundary"] if "boundary" in read else None,
        here / read["trust"] if "trust" in read else None,
        {str(k): str(v) for k, v in read.get("tags", {}).items()},
    )
    return Account(
        (role,),
        scps=tuple(tuple(_policy(here / str(p), Layer.SCP) for p in level) for level in levels),
        session=tuple(_policy(here / str(p), Layer.SESSION) for p in read.get("session", [])),
        files=(str(path),),
    )


def _policy(path: Path, layer: Layer) -> Policy:
    from signoff.audit.iam.documents import read_policy

    return read_policy(_text(path), path.stem, layer, str(path))


def _text(path: Path) -> str:
    """A file as text. Raises `SignoffError` for one that is none, or too large."""
    try:
        with path.open("rb") as file:
            # A device states no size, so what is read is bounded and not what is said.
            read = file.read(READ_MOST + 1)
        if len(read) > READ_MOST:
            why = f"it has over {READ_MOST:,} bytes, and no more are read"
            raise SignoffError(f"`{path}` is too large", why, "split it, or name one role")
        return read.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        why = f"byte {error.start:,} is not UTF-8"
        raise SignoffError(f"`{path}` is no text", why, "give the JSON that AWS shows") from error


def _used(given: Mapping[str, Any]) -> Used:
    """What the options say was used; nothing when none of them does."""
    from signoff.audit.iam import actions
    from signoff.audit.iam.used import Used, from_receipts, merged, read_used

    if given["run"] and not given["ledger"]:
        raise SignoffError("--run says which run of a ledger", "", "add --ledger configured")
    found = [
        read_used(_text(path), str(path), actions.needed_by, actions.service_of)
        for path in given["used_files"]
    ]
    if given["ledger"]:
        receipts = _receipts(given["ledger"])
        found.append(from_receipts(receipts, "the ledger", actions.needed_by, given["run"]))
    return merged(found) if found else Used()


def _receipts(named: str) -> Iterator[Mapping[str, Any]]:
    from signoff.faces.cli.offline import ledger_file, receipts_from_file

    path = ledger_file("" if named == "configured" else named)
    start = 0
    while True:
        page = receipts_from_file(path, start, RECEIPTS_AT_ONCE)
        listed, following = page["receipts"], page["next"]
        if not isinstance(listed, list) or not listed or not isinstance(following, int):
            return
        yield from listed
        start = following


def _written(folder: Path, judged: Iterable[Judged], force: bool) -> Iterator[str]:
    from signoff.audit.iam.writing import write_policies

    for one in judged:
        if one.smaller is not None:
            paths = write_policies(folder, one.principal.name, one.smaller, force)
            yield from (str(path) for path in paths)


def _settings() -> Config | None:
    """The settings when there are any: they map environments."""
    from signoff.config import config_path, load_config

    return load_config() if config_path().exists() else None
