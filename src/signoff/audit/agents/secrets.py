"""What looks like a secret in a settings file, shown by its place and a digest alone. Pure."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import urlsplit

TOKENS = (
    "AKIA", "ASIA", "ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "sk-", "xoxb-", "xoxp-",
    "eyJ", "-----BEGIN", "npm_", "pypi-", "AIza", "hf_", "dop_v1_", "SG.", "rk_live_", "sk_live_",
)  # fmt: skip
"""How the tokens of well-known services begin; public knowledge of their own documentation."""

NAMES = (
    "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "API_KEY", "APIKEY", "ACCESS_KEY",
    "PRIVATE_KEY", "CREDENTIAL", "AUTHORIZATION", "COOKIE", "PGPASSWORD", "DSN", "_KEY", "-KEY",
)  # fmt: skip
LEAST = 6
"""Shorter values are flags and numbers."""

_TOKEN = re.compile(rf"(?<![A-Za-z0-9])({'|'.join(map(re.escape, TOKENS))})[\w.+/=-]{{8,}}")
_WORDS = "|".join(map(re.escape, NAMES))
_REST = r"[\w-]{0,40}"
_NAMED = re.compile(
    rf"((?:(?:{_WORDS}){_REST}(?:=|\s{{0,9}}:\s{{0,9}}(?:bearer |basic |token )?)"
    rf"|--?{_REST}(?:{_WORDS}){_REST}\s{{1,9}})[\"']?)([^\s\"'`]{{{LEAST},}})",
    re.IGNORECASE,
)
_PASSWORD = re.compile(r"(://[^\s/:@]{0,200}:)([^\s/@]{1,200})(?=@)")


def looks_secret(name: str, value: str) -> bool:
    """Whether a value under that name is a secret and no reference to one."""
    text = value.strip()
    bare = text.removeprefix("Bearer ").removeprefix("Basic ").removeprefix("token ").strip()
    if len(bare) < LEAST or _reference(bare):
        return False
    if bare.startswith(TOKENS) and len(bare) >= 12:
        return True
    if url_password(bare):
        return True
    upper = name.upper().replace(" ", "_")
    if any(word in upper for word in NAMES):
        return not _path_or_flag(bare)
    return False


def secret_argument(arguments: list[str], at: int) -> bool:
    """Whether the argument at a place is a secret: by its look, or by the option before it."""
    text = arguments[at]
    option, equals, value = text.partition("=")
    if equals and option.startswith("-"):
        return looks_secret(option, value)
    before = arguments[at - 1] if at else ""
    named = before if before.startswith("-") and "=" not in before else ""
    return not text.startswith("-") and looks_secret(named, text)


def hidden(text: str) -> str:
    """The text with `***` for what looks like a secret in it. A command line or a rule is
    shown to say what is wrong with it, and may hold one."""
    text = _TOKEN.sub(r"\1***", text)
    text = _PASSWORD.sub(_unless_reference, text)
    return _NAMED.sub(_unless_reference, text)


def _unless_reference(found: re.Match[str]) -> str:
    kept = _reference(found[2]) or _path_or_flag(found[2])
    return found[0] if kept else f"{found[1]}***"


def url_password(text: str) -> bool:
    """Whether a text is a URL with a password in it."""
    if "://" not in text:
        return False
    try:
        password = urlsplit(text).password
    except ValueError:
        return False
    return bool(password) and not _reference(password or "")


def mark(value: str, key: bytes) -> str:
    """A short digest under a key that is made anew for each audit: the same secret in two
    files shows, and nobody can guess the value from it."""
    return hashlib.blake2b(value.encode(), key=key, digest_size=4).hexdigest()


def _reference(text: str) -> bool:
    """Whether the value names where the secret comes from: `${X}`, `$X`, `{env:X}`, ..."""
    return (
        text.startswith(("$", "{env:", "{file:", "{{", "<", "%", "env:", "op://", "vault:"))
        or "${" in text
        or set(text) <= set("xX*.")
    )


def _path_or_flag(text: str) -> bool:
    return text.startswith(("/", "~/", "./", "../")) or text.lower() in ("true", "false", "none")
