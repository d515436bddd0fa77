"""Keys as values: what a token looks like, what a key may do and see, and when and why it opens nothing."""

import pickle
import string
from base64 import urlsafe_b64decode
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.accounts import Account, AccountId
from billing.keys import (
    Issued,
    Key,
    Kind,
    Mode,
    ModeMismatchError,
    Refusal,
    Scope,
    digest,
    ended,
    faults_of,
    live,
    misplaced,
    mode_of,
    new_token,
    settled,
)
from billing.periods import ALWAYS
from tests.keyed import grant, secret
from tests.shop import AT

HOUR = timedelta(hours=1)
SECRETS = st.binary(min_size=32, max_size=32)
ACCOUNTS = {
    name: Account(id=AccountId(name), parent=parent, pays=pays, currency="USD" if pays else "")
    for name, parent, pays in (
        ("acme", "", True),
        ("acme-sales", "acme", False),
        ("acme-asia", "acme", True),
        ("acme-tokyo", "acme-asia", False),
        ("beta", "", True),
    )
}


def key(**facts: object) -> Key:
    """A live key that reports usage."""
    told = {"number": 1, "name": "switch-1", "mode": Mode.TEST, "scopes": frozenset({Scope.INGEST}), "added_at": AT}
    return Key(**(told | facts))  # type: ignore[arg-type]


def refusal(of: Key, at: object = AT) -> Refusal | None:
    problem = ended(of, at)  # type: ignore[arg-type]
    return problem.refusal if problem else None


@given(secret=SECRETS, mode=st.sampled_from(Mode))
def test_a_token_says_its_mode_and_holds_the_bytes(secret: bytes, mode: Mode) -> None:
    text = new_token(mode, secret).text
    assert f"tb_{mode}_" == text[:8]
    assert secret == urlsafe_b64decode(text[8:] + "=")
    assert mode is mode_of(text)
    assert sha256(text.encode()).digest() == digest(text)


@pytest.mark.parametrize("count", [0, 16, 31, 33])
def test_a_token_is_made_of_32_bytes(count: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        new_token(Mode.LIVE, bytes(count))


@given(secret=SECRETS, where=st.integers(0, 50), what=st.sampled_from(string.printable + "é\x00٣"))
def test_any_other_text_is_another_key_or_none(secret: bytes, where: int, what: str) -> None:
    text = new_token(Mode.LIVE, secret).text
    for other in (text[:where] + what + text[where + 1 :], text[:where] + what + text[where:], text[:where]):
        assert other == text or mode_of(other) is None or digest(other) != digest(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "tb_live_", "x" * 10**6, "tb_test_" + "a" * 42, "tb_test_" + "a" * 44, "tb_test_" + "a" * 42 + "="),
        *(before + "a" * 43 for before in (" tb_test_", "TB_TEST_", "tb_prod_", "tb-test-")),
        *("tb_test_" + "a" * 43 + "\n", "tb_test_" + "é" * 43),
    ],
)
def test_what_is_no_token_is_said_without_repeating_it(text: str) -> None:
    problem = misplaced(text, Mode.TEST)
    assert problem is not None
    assert Refusal.MALFORMED is problem.refusal
    assert "a" * 20 not in str(problem)


@pytest.mark.parametrize(("of", "here"), [(Mode.LIVE, Mode.TEST), (Mode.TEST, Mode.LIVE)])
def test_a_key_of_the_other_mode_is_refused_and_told_so(of: Mode, here: Mode) -> None:
    problem = misplaced(new_token(of, secret(1)).text, here)
    assert problem is not None
    assert (Refusal.OTHER_MODE, None) == (problem.refusal, misplaced(new_token(here, secret(1)).text, here))
    said = f"the key is a {of} one, and this deployment is a {here} deployment: it takes tb_{here}_ keys only"
    assert said == problem.detail


@given(secret=SECRETS)
def test_printing_shows_nothing_of_a_token(secret: bytes) -> None:
    token = new_token(Mode.LIVE, secret)
    issued = Issued(key=key(), token=token)
    for shown in (repr(token), str(token), f"{token}", repr(issued), str(issued), f"{[issued]}"):
        assert token.text[8:20] not in shown
    assert "tb_live_…" == str(token)


def test_a_key_does_what_its_scopes_say_and_nothing_is_implied() -> None:
    for scope in Scope:
        assert [scope] == [each for each in Scope if key(scopes=frozenset({scope})).may(each)]
    assert [Kind.OPERATOR, Kind.CUSTOMER] == [key().kind, key(account="acme").kind]


def test_a_key_is_good_until_it_ends() -> None:
    assert None is refusal(key(), ALWAYS - HOUR)
    assert [None, Refusal.EXPIRED] == [refusal(key(expires_at=AT + HOUR), AT + each * HOUR) for each in (0, 1)]
    assert [None, Refusal.REPLACED] == [refusal(key(replaced_at=AT + HOUR), AT + each * HOUR) for each in (0, 1)]
    both = key(expires_at=AT + HOUR, replaced_at=AT + 2 * HOUR)
    assert (AT + HOUR, Refusal.EXPIRED) == (both.ends_at, refusal(both, AT + 2 * HOUR))


def test_a_revoked_key_is_refused_by_a_clock_that_is_late_too() -> None:
    """Whoever revoked it may have a clock that is ahead: it is refused by all, at once."""
    assert [Refusal.REVOKED] * 3 == [refusal(key(revoked_at=AT), AT + each * HOUR) for each in (-1, 0, 1)]
    assert [1] == [each.number for each in live([key(number=2, revoked_at=AT), key()], AT)]


@pytest.mark.parametrize(
    ("said", "noted", "otherwise", "mode"),
    [
        (None, Mode.LIVE, Mode.TEST, Mode.LIVE),
        (Mode.LIVE, None, Mode.TEST, Mode.LIVE),
        (None, None, Mode.TEST, Mode.TEST),
        (Mode.TEST, Mode.TEST, None, Mode.TEST),
    ],
)
def test_what_is_noted_goes_before_what_is_said_and_that_before_the_default(
    said: Mode | None, noted: Mode | None, otherwise: Mode | None, mode: Mode
) -> None:
    assert mode is settled(said, noted, otherwise)


@pytest.mark.parametrize(
    ("said", "noted", "words"),
    [
        (Mode.LIVE, Mode.TEST, "is of a test deployment, for good, and live is asked"),
        (None, None, "say TOLLBOOK_MODE=live"),
    ],
)
def test_a_mode_that_differs_or_is_not_said_is_refused(said: Mode | None, noted: Mode | None, words: str) -> None:
    with pytest.raises(ModeMismatchError, match=words):
        settled(said, noted, None)


@pytest.mark.parametrize(
    ("of", "places"),
    [
        (grant("a"), []),
        (grant("A.b_c-9" + "x" * 57, *Scope, source="switch 1", expires_at=AT + HOUR), []),
        (grant("acme-portal", account="acme"), []),
        *((grant(name), ["name"]) for name in ("", "1st", "a b", "a\n", "é", "-a", "a" * 65)),
        (replace(grant(), scopes=frozenset()), ["scopes"]),
        (grant("a", account="nobody"), ["account"]),
        (grant("a", account="acme-sales"), ["account"]),
        (grant("a", Scope.READ, Scope.FINANCE, account="acme"), ["scopes"]),
        (grant("a", account="acme", source="x"), ["source"]),
        (grant("a", Scope.READ, source="x"), ["source"]),
        *((grant("a", source=source), ["source"]) for source in (" ", " a", "a\n", "a" * 201)),
        (grant("a", expires_at=AT), ["expires"]),
        (grant("1", account="nobody", expires_at=AT - HOUR), ["name", "account", "expires"]),
    ],
)
def test_what_a_key_is_to_be_is_checked_whole(of: object, places: list[str]) -> None:
    found = [*faults_of(of, ACCOUNTS, AT)]  # type: ignore[arg-type]
    assert [f"key: {place}" for place in places] == [fault.place for fault in found]
    assert all(fault.remedy for fault in found)


def test_an_account_that_does_not_pay_is_refused_with_the_one_that_does() -> None:
    (fault,) = faults_of(grant("a", account="acme-tokyo"), ACCOUNTS, AT)
    assert 'key: account "acme-tokyo": does not pay, and customers\' keys are of billing accounts' in str(fault)
    assert str(fault).endswith("; name acme-asia, which pays for it")


def test_a_key_goes_from_one_process_to_another() -> None:
    assert key() == pickle.loads(pickle.dumps(key()))  # noqa: S301 (made in the line itself)
