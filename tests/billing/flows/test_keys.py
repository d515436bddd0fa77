"""Keys in the books: made, replaced and ended, each written down without what opens anything."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Barrier, Thread

import psycopg
import pytest

from billing.charges import SourceReservedError
from billing.errors import InputFaultyError
from billing.flows.keys import mode_of, revoke_key, rotate_key, settle_mode
from billing.flows.publish import add_accounts
from billing.keys import Issued, Key, KeyConflictError, KeyMissingError, KeyUnclearError, Mode, ModeMismatchError, Scope
from billing.periods import ALWAYS
from billing.store.embedded import Cluster
from billing.store.engine import snapshot, transaction
from billing.store.keys import lock_keys
from billing.store.queries.keys import deployment_mode, listed_keys
from tests.keyed import add, grant, secret
from tests.shop import AT, Shop, account

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
_WAITING = "SELECT count(*) FROM pg_locks WHERE relation = 'keys'::regclass AND NOT granted"


def rotate(shop: Shop, number: int, at: datetime = AT, old_ends: datetime = AT + DAY, **more: object) -> Issued:
    told = {"old_ends": old_ends, "at": at, "actor": "operator"} | more
    return rotate_key(shop.engine, "switch-1", secret(number), **told)  # type: ignore[arg-type]


def revoke(shop: Shop, asked: str, at: datetime = AT, *, every: bool = False, dry_run: bool = False) -> list[int]:
    found = revoke_key(shop.engine, asked, at=at, actor="operator", every=every, dry_run=dry_run)
    return [key.number for key in found]


def listed(shop: Shop) -> list[Key]:
    with snapshot(shop.engine) as connection:
        return listed_keys(connection)


def mode(shop: Shop) -> Mode | None:
    with snapshot(shop.engine) as connection:
        return deployment_mode(connection)


def test_a_key_is_listed_as_it_was_granted(shop: Shop) -> None:
    add_accounts(shop.engine, [account("acme")], at=AT, actor="finance")
    told = grant("b", Scope.INGEST, Scope.READ, source="switch-1", expires_at=AT + HOUR)
    made = [add(shop.engine, 1, told).key, add(shop.engine, 2, grant("a", account="acme")).key]
    assert [made[1], made[0]] == listed(shop)
    assert [("acme", "", ALWAYS), ("", "switch-1", AT + HOUR)] == [
        (key.account, key.source, key.expires_at) for key in listed(shop)
    ]


def test_a_rehearsal_makes_no_key_and_notes_no_mode(shop: Shop) -> None:
    add(shop.engine, 1, dry=True)
    assert ([], None) == (listed(shop), mode(shop))
    add(shop.engine, 1)
    rotate(shop, 2, dry_run=True)
    (key,) = listed(shop)
    assert [key.number] == revoke(shop, "switch-1", dry_run=True)
    assert ((key,), None, ALWAYS) == ((*listed(shop),), key.revoked_at, key.replaced_at)


def test_what_is_wrong_with_a_grant_is_refused_and_nothing_is_noted(shop: Shop) -> None:
    with pytest.raises(InputFaultyError) as raised:
        add(shop.engine, 1, grant("1st", account="nobody"))
    assert 2 == len(raised.value.faults)
    for name in ("tollbook.charges", "resold:switch-1"):
        with pytest.raises(SourceReservedError):
            add(shop.engine, 1, grant(source=name))
    assert ([], None) == (listed(shop), mode(shop))


def test_a_name_is_of_one_key_until_all_of_it_have_ended(shop: Shop) -> None:
    first = add(shop.engine, 1, grant(expires_at=AT + HOUR)).key
    with pytest.raises(KeyConflictError, match="rotate or revoke that one"):
        add(shop.engine, 2, at=AT + HOUR - timedelta(microseconds=1))
    second = add(shop.engine, 3, grant("switch-1", Scope.READ), at=AT + HOUR).key
    revoke(shop, "switch-1", AT + HOUR)
    third = add(shop.engine, 4, at=AT + HOUR).key
    assert [first.number, second.number, third.number] == [key.number for key in listed(shop)]


def test_a_key_takes_the_place_of_another_which_ends_as_told(shop: Shop) -> None:
    told = grant("switch-1", Scope.INGEST, Scope.READ, source="x", expires_at=AT + 90 * DAY)
    old = add(shop.engine, 1, told).key
    issued = rotate(shop, 2, AT + DAY, AT + 2 * DAY)
    before, new = listed(shop)
    assert (old.number, AT + 2 * DAY, AT + 2 * DAY) == (before.number, before.replaced_at, before.ends_at)
    assert (issued.key, issued.before) == (new, before)
    assert (old.scopes, "x", AT + 91 * DAY) == (new.scopes, new.source, new.expires_at), "as long as the old"
    chosen = rotate(shop, 3, AT + 3 * DAY, AT + 3 * DAY, expires_at=AT + 4 * DAY)
    assert AT + 4 * DAY == chosen.key.expires_at


def test_a_key_that_expires_at_the_end_of_all_days_is_replaced(shop: Shop) -> None:
    add(shop.engine, 1, grant(expires_at=ALWAYS - HOUR))
    assert ALWAYS == rotate(shop, 2, AT + DAY).key.expires_at


def test_two_keys_of_a_name_are_live_at_most(shop: Shop) -> None:
    add(shop.engine, 1)
    rotate(shop, 2)
    with pytest.raises(KeyConflictError, match="has 2 live keys, and that is as many as may be at once"):
        rotate(shop, 3, AT + HOUR)
    third = rotate(shop, 3, AT + DAY, AT + DAY + HOUR).key
    revoke(shop, str(third.number), AT + DAY)
    # The one that is left ends sooner than another rotation says: what was said before holds.
    fourth = rotate(shop, 4, AT + DAY, AT + 9 * DAY)
    assert fourth.before is not None
    assert (AT + DAY + HOUR, AT + DAY + HOUR) == (fourth.before.ends_at, listed(shop)[1].ends_at)


def test_of_many_who_make_a_key_at_once_one_does(shop: Shop) -> None:
    """They all stand before the table when it is let go: what each read before would be old."""
    settle_mode(shop.engine, Mode.TEST, AT)
    for keys, make in ((1, lambda number: add(shop.engine, number)), (2, lambda number: rotate(shop, number))):
        ended = list[int]()

        def work(number: int, make: Callable[[int], Issued] = make, ended: list[int] = ended) -> None:
            try:
                ended.append(make(number).key.number)
            except KeyConflictError:
                ended.append(0)

        threads = [Thread(target=work, args=(10 * keys + number,)) for number in range(4)]
        with transaction(shop.engine) as connection:
            lock_keys(connection)
            for thread in threads:
                thread.start()
            while connection.execute(_WAITING).fetchone() != (len(threads),):
                time.sleep(0.01)
        for thread in threads:
            thread.join()
        assert (4, 3, keys) == (len(ended), ended.count(0), len(listed(shop)))


def test_what_ends_in_the_past_is_refused(shop: Shop) -> None:
    add(shop.engine, 1)
    past = AT - timedelta(microseconds=1)
    for said in ({"old_ends": past}, {"expires_at": past}, {"expires_at": AT}):
        with pytest.raises(InputFaultyError, match="is not to come"):
            rotate(shop, 2, **said)
    issued = rotate(shop, 2, AT, AT)
    assert issued.before is not None
    assert AT == issued.before.ends_at, "at once"


def test_a_key_is_revoked_by_its_name_or_its_number(shop: Shop) -> None:
    one, two = add(shop.engine, 1).key.number, rotate(shop, 2).key.number
    with pytest.raises(KeyUnclearError, match=f"{one} of 2026-10-15T12:00:00Z, {two} of"):
        revoke(shop, "switch-1")
    assert [one] == revoke(shop, str(one))
    assert [] == revoke(shop, str(one)), "again changes nothing"
    assert [two] == revoke(shop, "switch-1"), "one is left"
    add(shop.engine, 3)
    rotate(shop, 4)
    assert 2 == len(revoke(shop, "switch-1", every=True))
    assert all(key.revoked_at == AT for key in listed(shop))


@pytest.mark.parametrize("asked", ["nothing", "0", "01", "", "switch"])
def test_a_key_that_is_none_cannot_be_revoked_or_replaced(asked: str, shop: Shop) -> None:
    add(shop.engine, 1)
    with pytest.raises(KeyMissingError):
        revoke(shop, asked)
    with pytest.raises(KeyMissingError):
        rotate_key(shop.engine, asked, secret(2), old_ends=AT, at=AT, actor="operator")


def test_a_deployment_is_of_one_mode_for_good(shop: Shop) -> None:
    with pytest.raises(ModeMismatchError, match="nobody has said"):
        settle_mode(shop.engine, None, AT)
    assert Mode.TEST is mode_of(shop.engine, None, Mode.TEST)
    assert mode(shop) is None, "asking notes nothing"
    assert Mode.LIVE is settle_mode(shop.engine, Mode.LIVE, AT)
    assert Mode.LIVE is settle_mode(shop.engine, None, AT, otherwise=Mode.TEST)
    for refused in (lambda: settle_mode(shop.engine, Mode.TEST, AT), lambda: add(shop.engine, 1)):
        with pytest.raises(ModeMismatchError, match="is of a live deployment, for good, and test is asked for"):
            refused()
    assert "tb_live_" == add(shop.engine, 1, mode=Mode.LIVE).token.text[:8]
    assert [Mode.LIVE] == [key.mode for key in listed(shop)]


def test_of_two_who_say_a_mode_first_one_is_right(shop: Shop) -> None:
    ready, said, refused = Barrier(2), list[Mode](), list[Mode]()

    def work(mode: Mode) -> None:
        ready.wait()
        try:
            said.append(settle_mode(shop.engine, mode, AT))
        except ModeMismatchError:
            refused.append(mode)

    threads = [Thread(target=work, args=(mode,)) for mode in Mode]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ([mode(shop)], 1) == (said, len(refused))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE deployment SET mode = 'live'",
        "DELETE FROM deployment",
        "UPDATE keys SET scopes = '{admin}'",
        "DELETE FROM keys",
        "DELETE FROM key_ends",
        "UPDATE key_ends SET ends_at = 'infinity'",
        "INSERT INTO deployment (mode, noted_at) VALUES ('live', now())",
        "INSERT INTO deployment (is_one, mode, noted_at) VALUES (false, 'live', now())",
        "INSERT INTO keys (name, sha256, scopes, source, added_at) VALUES ('x', '\\x00', '{read}', '', now())",
        "INSERT INTO keys (name, sha256, scopes, source, added_at) VALUES ('x', sha256(''), '{all}', '', now())",
        "INSERT INTO keys (name, sha256, scopes, source, added_at) VALUES ('x', sha256(''), '{}', '', now())",
    ],
)
def test_the_store_itself_refuses_what_would_open_more(statement: str, shop: Shop) -> None:
    add(shop.engine, 1)
    revoke(shop, "switch-1")
    with pytest.raises(psycopg.IntegrityError), transaction(shop.engine) as connection:
        connection.execute(statement.encode())


def test_what_was_done_is_written_down(shop: Shop) -> None:
    add(shop.engine, 1, grant(source="switch-1", expires_at=AT + 9 * DAY))
    rotate(shop, 2)
    revoke(shop, "2")
    facts = {"scopes": ["ingest"], "source": "switch-1", "account": ""}
    day = "2026-10-{}T12:00:00Z".format
    assert [
        ("operator", "add", "key switch-1", facts | {"number": 1, "expires_at": day(24)}),
        (
            "operator",
            "rotate",
            "key switch-1",
            facts | {"number": 2, "expires_at": day(24), "before": 1, "before_ends_at": day(16)},
        ),
        ("operator", "revoke", "key switch-1", facts | {"number": 2, "expires_at": day(24)}),
    ] == shop.rows("SELECT actor, action, subject, details FROM audit_log ORDER BY entry")


def test_no_token_is_anywhere_in_the_database_or_its_logs(shop: Shop, cluster: Cluster) -> None:
    """Law: what opens anything is shown once. Also where a statement fails, and the server writes down why."""
    issued = [add(shop.engine, 0xC0FFEE << 200), rotate(shop, 0xDECADE << 200)]
    with pytest.raises(psycopg.IntegrityError):
        add(shop.engine, 0xC0FFEE << 200, grant("other"))
    revoke(shop, "1")
    tables = [name for (name,) in shop.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    found = [row for name in tables for row in shop.rows(f'SELECT t::text FROM "{name}" AS t')]
    text = repr(found) + repr(listed(shop)) + repr(issued)
    logs = b"".join(path.read_bytes() for path in cluster.log_folder.glob("*.log"))
    assert b"duplicate key value" in logs, "the logs are those of this server"
    for token in (each.token.text for each in issued):
        for secret_ in (token, token[8:], token[8:30]):
            assert secret_ not in text
            assert secret_.encode() not in logs
    for number in (0xC0FFEE << 200, 0xDECADE << 200):
        assert secret(number).hex() not in text
