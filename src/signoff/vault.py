"""Captured state: content-addressed, encrypted, kept for a stated time, within a budget.

A blob's address is an HMAC of its content, so equal secrets cannot be guessed from file
names; its bytes are zstd (where that helps) under AES-256-GCM, bound to the address. The
key comes from elsewhere and is never written here. Every reading checks the address, so a
single changed bit is noticed.

    objects/ab/abcdef...            one blob: format, flags, nonce, ciphertext and tag
    budget/<run>/<address>          an empty file named for what the run put: its accounting
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import secrets
import threading
from collections.abc import Iterable
from pathlib import Path

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from signoff.model.errors import CaptureFailed, ConfigInvalid

KEY_BYTES = 32
DEFAULT_BUDGET_BYTES = 256 * 1024 * 1024
CHUNK_BYTES = 8 * 1024 * 1024
MOST_BYTES = 4 * 1024 * 1024 * 1024
_NONCE_BYTES = 12
_FORMAT = b"SOV1"
_PLAIN, _ZSTD, _LIST = 0, 1, 2
_ZSTD_LEVEL = 3
"""Level 3: about as fast as the disk, and most of what a higher level would save."""


def derived_key(key: bytes, purpose: str) -> bytes:
    """A key for one purpose from the vault key (HKDF-Expand, RFC 5869), 32 bytes."""
    if len(key) != KEY_BYTES:
        raise ConfigInvalid(
            "the vault key is unusable",
            f"{len(key)} bytes, {KEY_BYTES} are needed",
            "make a new one",
        )
    return HKDFExpand(SHA256(), KEY_BYTES, f"signoff/{purpose}/v1".encode()).derive(key)


class KeySealer:
    """Seals small things (run keys, recorded actions) with a key of its own."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(derived_key(key, "seal"))

    def seal(self, content: bytes, about: str) -> bytes:
        """The content encrypted and bound to `about`: nonce, ciphertext and tag."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, about.encode())

    def unseal(self, sealed: bytes, about: str) -> bytes:
        """The content; raises `CaptureFailed` when it was altered or is about another."""
        try:
            nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            return self._cipher.decrypt(nonce, rest, about.encode())
        except (InvalidTag, ValueError) as error:
            raise CaptureFailed(
                f"`{about}` cannot be unsealed", "it was altered, or the vault key is another"
            ) from error


class DirectoryVault:
    """The vault as a directory of its own, 0700, every file 0600.

    `budget_bytes` is how much one run may put in all (stored bytes, after compression);
    content that the run already put costs nothing.
    """

    def __init__(
        self,
        directory: Path,
        key: bytes,
        *,
        budget_bytes: int = DEFAULT_BUDGET_BYTES,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        """Opens the vault or makes it; raises `ConfigInvalid` when it cannot be used."""
        self._address_key = derived_key(key, "vault-address")
        self._cipher = AESGCM(derived_key(key, "vault-content"))
        self._budget, self._chunk = budget_bytes, chunk_bytes
        self._objects, self._accounts = directory / "objects", directory / "budget"
        self._spent: dict[str, dict[str, int]] = {}
        self._lock = threading.Lock()
        try:
            for made in (directory, self._objects, self._accounts):
                made.mkdir(mode=0o700, parents=True, exist_ok=True)
                made.chmod(0o700)
        except OSError as error:
            raise ConfigInvalid(f"the vault `{directory}` cannot be used", str(error)) from error

    # The port `Vault`.

    async def put(self, run: str, content: bytes) -> str:
        """A reference to the content, durable when this returns.

        Raises `CaptureFailed` when it cannot be kept or the run's budget is spent; what
        was kept before stays.
        """
        return await asyncio.to_thread(self.put_now, run, content)

    async def get(self, reference: str) -> bytes:
        """The content, checked against its address; raises `CaptureFailed` otherwise."""
        return await asyncio.to_thread(self.get_now, reference)

    async def left(self, run: str) -> int:
        """How many bytes of its capture budget the run has left."""
        account = self._spent.get(run)
        if account is None:
            account = await asyncio.to_thread(self._known_account, run)
        # Without the lock: a capture that is being written must not hold up a decision.
        return max(0, self._budget - sum(tuple(account.values())))

    def put_now(self, run: str, content: bytes) -> str:
        """`put` without an event loop."""
        if len(content) > MOST_BYTES:
            raise CaptureFailed(
                "the capture is too large", f"{len(content)} bytes, at most {MOST_BYTES}"
            )
        address, blobs = self._blobs(content)
        try:
            with self._lock:
                self._keep(run, blobs)
        except OSError as error:
            raise CaptureFailed(
                "the undo cannot be saved", str(error), "free space on the vault's disk"
            ) from error
        return address

    def get_now(self, reference: str) -> bytes:
        """`get` without an event loop."""
        kind, body = self._open(reference)
        if kind == _LIST:
            parts = body.decode("ascii", "replace").split("\n")
            content = b"".join(self._content(part, *self._open(part)) for part in parts)
        else:
            content = self._content(reference, kind, body)
        if not hmac.compare_digest(self._address(content), reference):
            raise _damaged(reference, "its content is not what its address says")
        return content

    def purge(self, live: Iterable[str], *, older_than_ms: int) -> int:
        """Remove blobs that no undo record promises any more; how many.

        `live` are all references that are still promised: neither they nor their parts
        are touched. Nothing written at or after `older_than_ms` is removed either, for
        its undo record may not be written yet. Raises `CaptureFailed` when a promised
        list of parts cannot be read: then nothing is removed.
        """
        keep = set(live)
        for reference in tuple(keep):
            if self._path(reference).exists():
                kind, body = self._open(reference)
                if kind == _LIST:
                    keep.update(body.decode("ascii", "replace").split("\n"))
        removed = 0
        with self._lock:
            for path in sorted(self._objects.glob("??/*")):
                old = path.stat().st_mtime_ns // 1_000_000 < older_than_ms
                if old and path.name not in keep:
                    path.unlink()
                    removed += 1
        return removed

    def end_run(self, run: str) -> None:
        """Forget the accounting of a run that will capture no more."""
        with self._lock:
            self._spent.pop(run, None)
            directory = self._account_path(run)
            for path in directory.glob("*"):
                path.unlink()
            if directory.exists():
                directory.rmdir()

    # Writing.

    def _blobs(self, content: bytes) -> tuple[str, dict[str, bytes]]:
        """The content's address, and what is to be stored by address: parts first."""
        address = self._address(content)
        blobs: dict[str, bytes] = {}
        if len(content) > self._chunk:
            names = []
            for start in range(0, len(content), self._chunk):
                part = content[start : start + self._chunk]
                name = self._address(part)
                names.append(name)
                if name not in blobs:
                    blobs[name] = self._sealed(name, *_smaller(part))
            blobs[address] = self._sealed(address, _LIST, "\n".join(names).encode())
        else:
            blobs[address] = self._sealed(address, *_smaller(content))
        return address, blobs

    def _keep(self, run: str, blobs: dict[str, bytes]) -> None:
        account = self._account(run)
        cost = {name: len(blob) for name, blob in blobs.items() if name not in account}
        left = self._budget - sum(account.values())
        if sum(cost.values()) > left:
            raise CaptureFailed(
                f"the capture budget of run `{run}` is spent",
                f"{sum(cost.values())} bytes, {max(0, left)} of {self._budget} are left",
                "sign the action off without its undo, or raise `vault.budget`",
            )
        # First the account, then the blobs, the list of parts last: a crash in between
        # costs the run some budget, but never gives it any, and no list lacks a part.
        self._charge(run, cost)
        try:
            for name, blob in blobs.items():
                self._write(name, blob)
                cost.pop(name, None)
        except OSError:
            self._refund(run, cost)
            raise

    def _sealed(self, address: str, kind: int, body: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        head = _FORMAT + bytes([kind])
        return head + nonce + self._cipher.encrypt(nonce, body, head + address.encode())

    def _write(self, address: str, blob: bytes) -> None:
        path = self._path(address)
        if self._stands(address):
            return
        path.parent.mkdir(mode=0o700, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            view = memoryview(blob)
            while view:
                view = view[os.write(handle, view) :]
            os.fsync(handle)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)
        os.replace(fresh, path)
        _sync(path.parent)
        _sync(self._objects)

    def _stands(self, address: str) -> bool:
        """Whether the blob is there and whole; its time is renewed, so no purge takes it."""
        try:
            self._open(address)
            os.utime(self._path(address))
        except CaptureFailed:
            return False
        return True

    # Reading.

    def _open(self, address: str) -> tuple[int, bytes]:
        """Kind and decrypted body of one blob."""
        path = self._path(address)
        try:
            blob = path.read_bytes()
        except OSError as error:
            raise _damaged(address, error.strerror or str(error)) from error
        head, rest = blob[:5], blob[5:]
        if len(head) != 5 or head[:4] != _FORMAT or head[4] > _LIST:
            raise _damaged(address, "it is not a blob of this vault")
        try:
            nonce = rest[:_NONCE_BYTES]
            body = self._cipher.decrypt(nonce, rest[_NONCE_BYTES:], head + address.encode())
        except (InvalidTag, ValueError) as error:
            raise _damaged(address, "it was altered, or the vault key is another") from error
        return head[4], body

    def _content(self, address: str, kind: int, body: bytes) -> bytes:
        if kind == _LIST:
            raise _damaged(address, "a part is itself a list")
        if kind == _PLAIN:
            return body
        try:
            return zstandard.ZstdDecompressor().decompress(body)
        except zstandard.ZstdError as error:
            raise _damaged(address, str(error)) from error

    def _address(self, content: bytes) -> str:
        return hmac.new(self._address_key, content, hashlib.sha256).hexdigest()

    def _path(self, address: str) -> Path:
        if len(address) != 64 or not set(address) <= set("0123456789abcdef"):
            raise CaptureFailed(f"`{address[:80]}` is no reference into the vault")
        return self._objects / address[:2] / address

    # The budget.

    def _account(self, run: str) -> dict[str, int]:
        """What the run has put: stored bytes by address. Read once from the directory."""
        account = self._spent.get(run)
        if account is None:
            account = {}
            for path in self._account_path(run).glob("*-*"):
                name, _, size = path.name.partition("-")
                account[name] = int(size) if size.isdigit() else self._budget
            self._spent[run] = account
        return account

    def _known_account(self, run: str) -> dict[str, int]:
        with self._lock:
            return self._account(run)

    def _charge(self, run: str, cost: dict[str, int]) -> None:
        directory = self._account_path(run)
        if not directory.exists():
            directory.mkdir(mode=0o700)
            _sync(self._accounts)
        for name, size in cost.items():
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW
            os.close(os.open(directory / f"{name}-{size}", flags, 0o600))
        if cost:
            _sync(directory)
            self._account(run).update(cost)

    def _refund(self, run: str, cost: dict[str, int]) -> None:
        """Give back what was charged for blobs that could not be written."""
        for name, size in cost.items():
            (self._account_path(run) / f"{name}-{size}").unlink(missing_ok=True)
            self._account(run).pop(name, None)

    def _account_path(self, run: str) -> Path:
        # A run's name may hold anything; its hash is a file name everywhere.
        return self._accounts / hashlib.sha256(run.encode("utf-8", "surrogatepass")).hexdigest()


def _smaller(content: bytes) -> tuple[int, bytes]:
    """The content compressed, when that is smaller; else as it is."""
    packed = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(content)
    return (_ZSTD, packed) if len(packed) < len(content) else (_PLAIN, content)


def _damaged(address: str, why: str) -> CaptureFailed:
    return CaptureFailed(
        f"the saved undo `{address[:12]}..` cannot be read", why, "restore from your own backup"
    )


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
