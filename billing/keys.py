"""Keys of the service: who calls, and what they may do. A key is shown once; what is kept of it is its digest.

Operators' keys do what their scopes say, for all accounts; nothing implies anything else. A customer's key reads one
billing account and those that it pays for. Live and test deployments keep apart: a key says of which it is, and the
digest is of all of its text.
"""

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from billing.accounts import Account, payer_of
from billing.periods import ALWAYS
from rates.cards import instant
from rates.errors import Fault, TollbookError

SECRET_BYTES = 32
LIVE_AT_ONCE = 2
"""Keys of one name that are good at the same time: the one in use, and the one that takes its place."""
GRACE = timedelta(days=1)
"""How long a replaced key is good beside the one that took its place, if nobody says otherwise."""
LONGEST_SOURCE = 200

_TOKEN = re.compile(r"tb_(live|test)_[A-Za-z0-9_-]{43}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")


class KeyMissingError(TollbookError):
    """There is no key of a name or number; `value` is what was asked for."""


class KeyConflictError(TollbookError):
    """A key's name is in use, or too many keys of it are; `value` is the name."""


class KeyUnclearError(TollbookError):
    """A name is that of two keys, and one of them is meant; `value` is the name."""


class ModeMismatchError(TollbookError):
    """A deployment is of the other mode than what was said, or of none yet and nothing was said."""


class Mode(StrEnum):
    """What a deployment is for: customers' own traffic, or trials of it."""

    LIVE = "live"
    TEST = "test"


class Scope(StrEnum):
    """What operators' keys may do: report usage; read; issue, approve and release bills; manage keys and endpoints."""

    INGEST = "ingest"
    READ = "read"
    FINANCE = "finance"
    ADMIN = "admin"


class Kind(StrEnum):
    """Whose a key is: the operator's, who serves all accounts, or a customer's."""

    OPERATOR = "operator"
    CUSTOMER = "customer"


class Refusal(StrEnum):
    """Why a key opens nothing."""

    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    OTHER_MODE = "other_mode"
    REVOKED = "revoked"
    REPLACED = "replaced"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a key is to be: its name, and whom and what it opens. `account` is "" of operators' keys.

    `source`: what its reports of usage are from where they do not say it; "" for none.
    """

    name: str
    scopes: frozenset[Scope]
    source: str = ""
    account: str = ""
    expires_at: datetime = ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key as it is known afterwards, by its `number`; see `Grant`.

    `replaced_at`: when it ends because another one of its name was made in its place. `last_used_at` is up to a
    minute late.
    """

    number: int
    name: str
    mode: Mode
    scopes: frozenset[Scope]
    source: str = ""
    account: str = ""
    added_at: datetime
    expires_at: datetime = ALWAYS
    replaced_at: datetime = ALWAYS
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    @property
    def kind(self) -> Kind:
        """Whose it is."""
        return Kind.CUSTOMER if self.account else Kind.OPERATOR

    @property
    def ends_at(self) -> datetime:
        """The instant from which on it opens nothing, if nobody revokes it before."""
        return min(self.expires_at, self.replaced_at)

    def may(self, scope: Scope) -> bool:
        """Whether it is for that."""
        return scope in self.scopes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyProblem:
    """Why a key was refused, in a sentence for whoever presented it."""

    refusal: Refusal
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    """What a caller presents. Printing it shows its mode and nothing else; `text` is all of it."""

    text: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.text[:8]}…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A new key, with what is shown of it this once; and the one of its name that ends for it, if it replaces one."""

    key: Key
    token: Token
    before: Key | None = None


def new_token(mode: Mode, secret: bytes) -> Token:
    """The token of a new key, of 32 bytes that nobody can guess. Raises ValueError for another number of them."""
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"a key is made of {SECRET_BYTES} bytes, not {len(secret)}")
    return Token(f"tb_{mode}_{urlsafe_b64encode(secret).decode('ascii').rstrip('=')}")


def mode_of(token: str) -> Mode | None:
    """Of which mode a text is a token; None if it is none."""
    found = _TOKEN.fullmatch(token)
    return Mode(found[1]) if found else None


def digest(token: str) -> bytes:
    """What is kept of a token: its SHA-256. Looking keys up by it takes as long for near misses as for far ones."""
    return sha256(token.encode()).digest()


def misplaced(token: str, mode: Mode) -> KeyProblem | None:
    """What is wrong with a token by itself, for a deployment of some mode."""
    found = mode_of(token)
    if found is None:
        detail = "the key is none: one is tb_live_ or tb_test_ and 43 letters, digits, - and _"
        return KeyProblem(refusal=Refusal.MALFORMED, detail=detail, remedy="send it as it was shown")
    if found is not mode:
        detail = f"the key is a {found} one, and this deployment is a {mode} deployment: it takes tb_{mode}_ keys only"
        remedy = f"use a {mode} key here, or send this to your {found} deployment"
        return KeyProblem(refusal=Refusal.OTHER_MODE, detail=detail, remedy=remedy)
    return None


UNKNOWN = KeyProblem(
    refusal=Refusal.UNKNOWN, detail="the key is not known to this deployment", remedy="ask its operator for one"
)


def ended(key: Key, at: datetime) -> KeyProblem | None:
    """Why a key is not good at an instant; None if it is. One that was revoked is not, whatever the clock says."""
    if key.revoked_at is not None:
        detail = f"the key was revoked at {instant(key.revoked_at)}"
        return KeyProblem(refusal=Refusal.REVOKED, detail=detail, remedy="ask the operator for another one")
    if at < key.ends_at:
        return None
    if key.replaced_at <= key.expires_at:
        detail = f"the key ended at {instant(key.replaced_at)}, when another one took its place"
        return KeyProblem(refusal=Refusal.REPLACED, detail=detail, remedy="use the newer key of its name")
    detail = f"the key expired at {instant(key.expires_at)}"
    return KeyProblem(refusal=Refusal.EXPIRED, detail=detail, remedy="ask the operator for another one")


def live(keys: Iterable[Key], at: datetime) -> list[Key]:
    """Those of some keys that are good at an instant, the oldest first."""
    return sorted((key for key in keys if ended(key, at) is None), key=lambda key: key.number)


def faults_of(grant: Grant, accounts: Mapping[str, Account], at: datetime) -> Iterator[Fault]:
    """What is wrong with what a key is to be from an instant on."""
    if not _NAME.fullmatch(grant.name):
        remedy = "write 1 to 64 letters, digits, - . and _ that begin with a letter, as in switch-1"
        yield Fault(place="key: name", value=grant.name, problem="is not a name for a key", remedy=remedy)
    if grant.account:
        yield from _customer_faults(grant, accounts)
    elif not grant.scopes:
        problem = "names neither scopes nor an account, and would open nothing"
        yield Fault(place="key: scopes", value="", problem=problem, remedy=f"use some of {', '.join(Scope)}")
    if grant.source and not grant.account:
        yield from _source_faults(grant)
    yield from past_faults(at, expires=grant.expires_at)


def past_faults(at: datetime, **instants: datetime) -> Iterator[Fault]:
    """Which of some instants at which something ends lie before `at`; a key that would expire at once is none."""
    for name, instant_ in instants.items():
        if instant_ < at or (name == "expires" and instant_ == at):
            remedy = "name an instant that is still to come; `tollbook keys revoke` ends a key at once"
            yield Fault(place=f"key: {name}", value=instant(instant_), problem="is not to come", remedy=remedy)


def settled(said: Mode | None, noted: Mode | None, otherwise: Mode | None) -> Mode:
    """The mode of a deployment: what its database notes, else what is said, else `otherwise`.

    Raises ModeMismatchError where they differ, or where there is none of them.
    """
    if noted is not None and said not in {None, noted}:
        problem = f"this database is of a {noted} deployment, for good, and {said} is asked for"
        raise ModeMismatchError(problem, remedy=f"say {noted} or nothing, or use the database of the {said} one")
    mode = noted or said or otherwise
    if mode is None:
        problem = "nobody has said whether this database is of a live or a test deployment"
        raise ModeMismatchError(problem, remedy="say TOLLBOOK_MODE=live or TOLLBOOK_MODE=test; it is noted for good")
    return mode


def _customer_faults(grant: Grant, accounts: Mapping[str, Account]) -> Iterator[Fault]:
    account = accounts.get(grant.account)
    if account is None:
        remedy = "`tollbook accounts list` lists them"
        yield Fault(place="key: account", value=grant.account, problem="is not an account", remedy=remedy)
    elif not account.pays:
        payer = payer_of(account.id, accounts)
        problem = "does not pay, and customers' keys are of billing accounts"
        remedy = f"name {payer.id}, which pays for it" if payer else "name the account that pays for it"
        yield Fault(place="key: account", value=grant.account, problem=problem, remedy=remedy)
    if grant.scopes != {Scope.READ}:
        problem, value = "are an operator's, and a customer's key only reads", " ".join(sorted(grant.scopes))
        yield Fault(place="key: scopes", value=value, problem=problem, remedy="leave them out, or the account")
    if grant.source:
        remedy = "leave it out, or the account"
        yield Fault(place="key: source", value=grant.source, problem="is of a key that only reads", remedy=remedy)


def _source_faults(grant: Grant) -> Iterator[Fault]:
    source = grant.source
    if source != source.strip() or not source.isprintable() or len(source) > LONGEST_SOURCE:
        problem, remedy = "is not the name of a source", "name a switch or service, as in switch-1, no spaces around"
        yield Fault(place="key: source", value=source, problem=problem, remedy=remedy)
    if Scope.INGEST not in grant.scopes:
        problem, remedy = "is of a key that reports no usage", "add the scope ingest, or leave the source out"
        yield Fault(place="key: source", value=source, problem=problem, remedy=remedy)
