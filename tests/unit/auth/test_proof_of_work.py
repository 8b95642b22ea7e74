"""The built-in captcha: only our own challenge, only with the work done."""

from __future__ import annotations

import pytest

from fluxbase.auth.captcha.proof_of_work import ProofOfWork, Work, is_solved, split_solution

WORK = Work("tenant", "signup", 10, 2_000_000_000)
PROOF = ProofOfWork(b"k" * 32)


def solve(challenge: str, difficulty: int) -> str:
    """Do the work."""
    number = next(each for each in range(1 << 24) if is_solved(challenge, str(each), difficulty))
    return f"{challenge}.{number}"


def test_a_challenge_says_what_it_is_for() -> None:
    """Read back, it is the work it was made of; two are never the same."""
    first, second = PROOF.challenge(WORK), PROOF.challenge(WORK)
    assert first != second
    assert PROOF.read(first) == PROOF.read(second) == WORK


def test_solving() -> None:
    """A solved one splits into challenge and number, and the number is checked."""
    challenge = PROOF.challenge(WORK)
    parts = split_solution(solve(challenge, WORK.difficulty))
    assert parts is not None
    assert parts[0] == challenge
    assert is_solved(*parts, WORK.difficulty)
    assert not is_solved(challenge, parts[1], 200)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c[:-1] + ("A" if c[-1] != "A" else "B"),
        lambda c: c[3:],
        lambda c: "ch_." + c,
        lambda c: c.split(".")[0],
        lambda c: c + "é",
        lambda c: "",
    ],
)
def test_a_changed_challenge_is_not_ours(change: object) -> None:
    """Difficulty, flow and end cannot be written by the client."""
    assert PROOF.read(change(PROOF.challenge(WORK))) is None  # type: ignore[operator]


def test_another_key_refuses() -> None:
    """A challenge of another installation is worth nothing."""
    assert ProofOfWork(b"x" * 32).read(PROOF.challenge(WORK)) is None


@pytest.mark.parametrize("solution", ["", ".", "x.", ".1", "x.-1", "x.1e3", "x.²", "x." + "1" * 21])
def test_what_is_no_solution(solution: str) -> None:
    """The number is up to twenty ASCII digits."""
    assert split_solution(solution) in (None, ("", "1"))
