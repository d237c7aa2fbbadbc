"""Who can read and write a path, by owner, mode, access list and every folder above it.

Looks with stat alone and opens nothing. Who owns a folder on the way, or can write it, can
put another thing in the path's place, so they count as writers.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

ANYONE = "anyone"
_ACL = "system.posix_acl_access"
_ACL_USER, _ACL_GROUP, _ACL_MASK = 0x02, 0x08, 0x10
READ, WRITE, SEARCH = 4, 2, 1


@dataclass(frozen=True, slots=True)
class Who:
    """A user and the groups they are in; None for both is anybody without a group here."""

    name: str
    uid: int = -1
    gids: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Access:
    """What others than the owner can do with a path: `readers` and `writers` by name, and for
    each writer the step on the way that lets them (`because`)."""

    path: Path
    there: bool
    owner: str = ""
    mode: int = 0
    readers: tuple[str, ...] = ()
    writers: tuple[str, ...] = ()
    because: tuple[str, ...] = ()


def user(name: str) -> Who:
    """A user by name or number, with their groups. Raises `KeyError` when there is none."""
    found = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
    gids = frozenset(os.getgrouplist(found.pw_name, found.pw_gid))
    return Who(found.pw_name, found.pw_uid, gids)


def can(who: Who, path: Path, wanted: int) -> bool:
    """Whether a user could do something with a path: the folders above let them through, and
    the path itself allows it. Root can everything; symbolic links are followed."""
    if who.uid == 0:
        return True
    try:
        real = path.resolve(strict=True)
        above = all(_allows(who, step, SEARCH) for step in real.parents)
        return above and _allows(who, real, wanted)
    except (OSError, RuntimeError):
        return False


def replaces(who: Who, path: Path) -> str:
    """The step on the way to a path that lets a user change it or put another in its place;
    empty when none does."""
    if who.uid == 0:
        return ""
    absolute = Path(os.path.abspath(path))
    try:
        real = absolute.resolve(strict=True)
    except (OSError, RuntimeError):
        real = absolute
    steps = dict.fromkeys((real, *real.parents, *absolute.parents))
    for step in steps:
        try:
            seen = step.stat()
        except OSError:
            continue
        if who.uid == seen.st_uid:
            return f"`{step}` belongs to them"
        sticky = step != real and seen.st_mode & stat.S_ISVTX
        if not sticky and _allows(who, step, WRITE) and _through(who, step):
            return f"`{step}` has mode {stat.S_IMODE(seen.st_mode):04o}"
    return ""


def look(path: Path, owner_uid: int, others: tuple[Who, ...]) -> Access:
    """What others than `owner_uid` and root can do with a path: the users named, whoever owns
    a folder on the way, the members of a group that may, and anyone."""
    try:
        seen = path.stat()
    except OSError:
        return Access(path, False)
    readers, writers, because = [], [], []
    for who in (*_around(path, owner_uid), *others, Who(ANYONE)):
        if who.uid in (owner_uid, 0) and who.uid != -1:
            continue
        if can(who, path, READ):
            readers.append(who.name)
        step = replaces(who, path)
        if step:
            writers.append(who.name)
            because.append(step)
    return Access(
        path,
        True,
        _user_name(seen.st_uid),
        stat.S_IMODE(seen.st_mode),
        _named(readers),
        _named(writers),
        tuple(dict.fromkeys(because)),
    )


def _named(names: list[str]) -> tuple[str, ...]:
    """The names once each; a group says nothing more where anyone can."""
    open_to_all = ANYONE in names
    kept = [n for n in names if not (open_to_all and n.startswith("group "))]
    return tuple(dict.fromkeys(kept))


def _around(path: Path, owner_uid: int) -> list[Who]:
    """Owners of the steps on the way, and their groups, where those could matter."""
    found: dict[Who, None] = {}
    real = path.resolve()
    for step in (real, *real.parents):
        seen = step.stat()
        if seen.st_uid not in (owner_uid, 0):
            found.setdefault(Who(_user_name(seen.st_uid), seen.st_uid))
        if seen.st_gid and stat.S_IMODE(seen.st_mode) & 0o060 and _members(seen.st_gid, owner_uid):
            name = f"group {_group_name(seen.st_gid)}"
            found.setdefault(Who(name, -1, frozenset({seen.st_gid})))
        for tag, _, number in _entries(step):
            if tag == _ACL_USER:
                found.setdefault(Who(_user_name(number), number))
            elif tag == _ACL_GROUP:
                name = f"group {_group_name(number)}"
                found.setdefault(Who(name, -1, frozenset({number})))
    return list(found)


def _allows(who: Who, step: Path, wanted: int) -> bool:
    """What the kernel checks for one step (acl(5)): owner, named users, groups, others."""
    seen = step.stat()
    mode = stat.S_IMODE(seen.st_mode)
    if who.uid == seen.st_uid:
        return bool(mode >> 6 & wanted)
    entries = _entries(step)
    mask = next((bits for tag, bits, _ in entries if tag == _ACL_MASK), 7)
    for tag, bits, number in entries:
        if tag == _ACL_USER and number == who.uid:
            return bool(bits & mask & wanted)
    groups = [bits & mask for tag, bits, n in entries if tag == _ACL_GROUP and n in who.gids]
    if seen.st_gid in who.gids:
        groups.append(mode >> 3 & 7)
    if groups:
        return any(bits & wanted for bits in groups)
    return bool(mode & wanted)


def _through(who: Who, step: Path) -> bool:
    return all(_allows(who, above, SEARCH) for above in step.parents)


def _entries(step: Path) -> list[tuple[int, int, int]]:
    """The entries of an access list: tag, bits, uid or gid; none without a list."""
    try:
        raw = os.getxattr(step, _ACL)
    except OSError:
        return []
    return [struct.unpack_from("<HHI", raw, at) for at in range(4, len(raw) - 7, 8)]


def _members(gid: int, owner_uid: int) -> bool:
    """Whether anybody but the owner is in a group. A group nobody can be found in counts as
    empty; one that cannot be looked up counts."""
    try:
        listed = grp.getgrgid(gid).gr_mem
        own = pwd.getpwuid(owner_uid).pw_name
    except KeyError:
        return True
    primary = [u.pw_name for u in pwd.getpwall() if u.pw_gid == gid]
    return bool({*listed, *primary} - {own})


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return f"gid {gid}"
