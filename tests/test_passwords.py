"""Whose password is right; and that who guesses costs nobody else anything."""

import asyncio
from base64 import b64encode
from collections.abc import Awaitable

import bcrypt
import pytest

from extractor.web import passwords
from extractor.web.passwords import Passwords, Verdict

LONG = "ä" * 36  # bcrypt's 72 bytes


def made(password: str, prefix: bytes = b"2b") -> str:
    """A hash, as cheap as can be."""
    return bcrypt.hashpw(password.encode(), b"$2b$04$abcdefghijklmnopqrstuu").replace(b"2b", prefix, 1).decode()


USERS = {"alice": made("secret"), "bob": made("s:ecr:et", b"2y"), "ünal": made(""), "long": made(LONG)}


def basic(text: str | bytes) -> bytes:
    """The header for `name:password`."""
    return b"Basic " + b64encode(text.encode() if isinstance(text, str) else text)


def judge(*headers: bytes, users: dict[str, str] = USERS) -> list[Verdict]:
    """The verdicts on *headers*, one after the other."""

    async def all_of_them() -> list[Verdict]:
        judges = Passwords(users)
        return [await judges.judge(header, "host") for header in headers]

    return asyncio.run(all_of_them())


class Counting:
    """Counts how often bcrypt is asked, of whom, and how many questions there are at a time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[bytes, bytes]] = []
        self._check = bcrypt.checkpw
        monkeypatch.setattr(bcrypt, "checkpw", self._ask)

    def _ask(self, password: bytes, hashed: bytes) -> bool:
        self.asked.append((password, hashed))
        return self._check(password, hashed)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """bcrypt itself, counted."""
    return Counting(monkeypatch)


@pytest.mark.parametrize(
    ("header", "admitted"),
    [
        (basic("alice:secret"), True),
        (basic("alice:secret").replace(b"Basic", b"bAsIc"), True),
        (basic("bob:s:ecr:et"), True),
        (basic("ünal:"), True),
        (basic(f"long:{LONG}"), True),
        (basic("alice:Secret"), False),
        (basic("alice:"), False),
        (basic("Alice:secret"), False),
        (basic("bob:secret"), False),
        (basic("nobody:secret"), False),
        (basic("nobody:"), False),
        (basic(":"), False),
        (basic("alice"), False),
        (basic(f"alice:{'x' * 10_000}"), False),
        (basic(b"alice:\0"), False),
        (basic(b"\xff:\xff"), False),
        (b"", False),
        (b"Basic", False),
        (b"Basic !!!!", False),
        (b"Bearer " + b64encode(b"alice:secret"), False),
        (basic("alice:" + USERS["alice"]), False),
    ],
)
def test_who_is_admitted(header: bytes, admitted: bool):
    """The name and the password of a user, in any of bcrypt's spellings, and nothing else, however odd."""
    assert [Verdict.ADMITTED if admitted else Verdict.REFUSED] == judge(header)


def test_a_right_password_is_looked_at_once(counting: Counting):
    """Who scrapes every few seconds costs one slow check; each wrong password costs another."""
    right, wrong = basic("alice:secret"), basic("alice:guess")
    verdicts = judge(right, right, wrong, right, wrong)

    assert [Verdict.ADMITTED, Verdict.ADMITTED, Verdict.REFUSED, Verdict.ADMITTED, Verdict.REFUSED] == verdicts
    assert [b"secret", b"guess", b"guess"] == [password for password, _ in counting.asked]


def test_parts_are_not_mixed_up():
    """A name that ends as another's password begins is not taken for it."""
    users = {"a": made("bc"), "ab": made("x")}

    assert [Verdict.ADMITTED, Verdict.REFUSED] == judge(basic("a:bc"), basic("ab:c"), users=users)


def test_an_unknown_user_takes_as_long(counting: Counting):
    """For a name that is no user's, a hash of the highest cost among the users is computed."""
    judge(basic("nobody:x"), users={"alice": made("secret"), "bob": USERS["bob"].replace("$04$", "$06$")})

    assert [b"$2b$06$"] == [hashed[:7] for _, hashed in counting.asked]


def test_what_is_remembered_has_a_bound(counting: Counting, monkeypatch: pytest.MonkeyPatch):
    """Of right passwords the latest are remembered."""
    monkeypatch.setattr(passwords, "_REMEMBERED", 1)
    alice, bob = basic("alice:secret"), basic("bob:s:ecr:et")
    judge(alice, bob, bob, alice)

    assert [b"secret", b"s:ecr:et", b"secret"] == [password for password, _ in counting.asked]


def test_guesses_of_one_host_wait_for_each_other(counting: Counting):
    """However much one host guesses, another waits for one check; who is known waits for none; memory does not grow."""

    async def guess() -> tuple[list[str], list[Verdict]]:
        judges, ended = Passwords(USERS), []

        def ask(name: str, header: bytes, host: str) -> Awaitable[Verdict]:
            task = asyncio.ensure_future(judges.judge(header, host))
            task.add_done_callback(lambda _: ended.append(name))
            return task

        await judges.judge(basic("alice:secret"), "scraper")
        guesses = [ask("guess", basic(f"alice:{number}"), "attacker") for number in range(50)]
        await asyncio.sleep(0)
        others = [ask("bob", basic("bob:s:ecr:et"), "other"), ask("alice", basic("alice:secret"), "scraper")]
        return ended, await asyncio.gather(*guesses, *others)

    ended, verdicts = asyncio.run(guess())
    waited = ended[40:]  # who is busy is told so at once

    assert {Verdict.BUSY: 40, Verdict.REFUSED: 10, Verdict.ADMITTED: 2} == {
        verdict: verdicts.count(verdict) for verdict in Verdict
    }
    assert "alice" == waited[0]
    assert waited.index("bob") <= 2
    assert 12 == len(counting.asked)
