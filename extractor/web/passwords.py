"""
An `Authorization` header in, a verdict out.

bcrypt is slow on purpose, so it runs outside the event loop, and a correct password is checked once and remembered.
Other passwords are checked one at a time, with hosts taking turns, so that guessing delays no other host. An unknown
user takes as long as a known one.
"""

import asyncio
import base64
import binascii
import hashlib
import secrets
from collections import Counter, OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import Enum

import bcrypt

_REMEMBERED = 100  # right passwords; a user has one
_BCRYPT_BYTES = 72  # what follows was never part of a hash, and `bcrypt` takes it for a mistake
_WAITING = 10  # guesses of one host in the line
_WAITING_HOSTS = 100
_WORKER = ThreadPoolExecutor(1, thread_name_prefix="passwords")  # no thread before there is a password


class Verdict(Enum):
    """Whether who asks may look; BUSY is nobody who is known to be right, while others are being looked at."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    BUSY = "busy"


class Passwords:
    """The *users*, each with the bcrypt hash of a password."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self._hashes = {user.encode(): made.encode() for user, made in users.items()}
        cost = max((int(made.split("$")[2]) for made in users.values()), default=10)
        self._nobody = b"$2b$%02d$" % cost + b"." * 53
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._secret = secrets.token_bytes(32)
        self._turns: dict[str, asyncio.Lock] = {}
        self._waiting: Counter[str] = Counter()
        self._one = asyncio.Lock()

    async def judge(self, authorization: bytes, host: str) -> Verdict:
        """Whether *authorization*, sent from *host*, is the name and the password of a user."""
        credentials = _credentials(authorization)
        if credentials is None:
            return Verdict.REFUSED
        user, password = credentials
        made = self._hashes.get(user)
        mark = self._mark(user, made or b"", password)
        if mark in self._right:
            self._right.move_to_end(mark)
            return Verdict.ADMITTED
        if self._waiting[host] >= _WAITING or len(self._waiting) > _WAITING_HOSTS:
            return Verdict.BUSY
        right = await self._check(made or self._nobody, password[:_BCRYPT_BYTES], host)
        if not right or not made:
            return Verdict.REFUSED
        self._right[mark] = None
        if len(self._right) > _REMEMBERED:
            self._right.popitem(last=False)
        return Verdict.ADMITTED

    async def _check(self, made: bytes, password: bytes, host: str) -> bool:
        self._waiting[host] += 1
        try:
            # One of each host stands in the line, however many it sends.
            async with self._turns.setdefault(host, asyncio.Lock()), self._one:
                return await asyncio.get_running_loop().run_in_executor(_WORKER, _matches, password, made)
        finally:
            self._waiting[host] -= 1
            if not self._waiting[host]:
                del self._waiting[host], self._turns[host]

    def _mark(self, *parts: bytes) -> bytes:
        # Fast, and of no use without the secret, which dies with the process.
        told = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hashlib.blake2b(told, key=self._secret).digest()


def _credentials(authorization: bytes) -> tuple[bytes, bytes] | None:
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user, colon, password = base64.b64decode(token.strip(), validate=True).partition(b":")
    except binascii.Error:
        return None
    return (user, password) if colon else None


def _matches(password: bytes, made: bytes) -> bool:
    try:
        return bcrypt.checkpw(password, made)
    except ValueError:  # a NUL, for old versions of it
        return False
