"""Ingest: what is acknowledged is stored and rated, once; the rest is said per item."""

import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime

import psycopg
import pytest

from billing.chunks import Chunk
from billing.errors import SourceUnknownError
from billing.flows.ingest import LONGEST_PATIENCE, Hope, Intake, import_usage
from billing.flows.publish import add_accounts
from billing.receipts import Outcome, Taken
from billing.store.drafts import written_batches
from billing.store.engine import snapshot, transaction
from billing.store.identity import WORTH_A_TRY, next_batch
from billing.store.ratebooks import lock_books, raise_book_version
from tests.shop import AT, SOURCE, Shop, account, call, card, outcomes, payloads, products


@pytest.fixture(autouse=True)
def opened(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme")


def test_an_accepted_event_is_stored_rated_and_in_the_totals(shop: Shop) -> None:
    assert ["accepted"] == outcomes(shop.post(call(1)))
    assert [("call-1", 447700900123, 61, 120, "GB", 0)] == shop.rows(
        "SELECT id, to_e164, measured, billed, country, reason FROM events"
    )
    ((payer, account, _, _, _, events, quantity),) = shop.totals()
    assert (payer, payer, 1, 120) == (account, payer, events, quantity)


def test_what_a_report_does_not_say_is_null_beside_one_that_says_it_and_alone(shop: Shop) -> None:
    said = {"from": "+33123456789", "rated_to": "+447700900124", "status": "busy", "region": "emea"}
    shop.post(call(1, **said), call(2, status=None))
    shop.post(call(3, status=None))
    first = ("call-1", 33123456789, 447700900124, "busy", "emea", None, False)
    nothing = (None, None, None, None, None, True)
    assert [first, ("call-2", *nothing), ("call-3", *nothing)] == shop.rows(
        "SELECT id, from_e164, rated_to_e164, status, region, mcc, price_id IS NOT NULL FROM events ORDER BY id"
    )


def test_each_payload_is_answered_for_itself(shop: Shop) -> None:
    shop.post(call(1), call(2))
    receipt = shop.post(
        call(1),
        call(2, duration_seconds="62"),
        call(3),
        call(4, duration_seconds="-1"),
        call(5, account="nobody"),
    )
    assert ["duplicate", "conflict", "accepted", "rejected", "quarantined"] == outcomes(receipt)
    assert {1, 3, 4} == set(receipt.findings)
    assert ("/duration_seconds", "unknown_account") == (receipt.findings[3].pointer, receipt.findings[4].reason)


def test_an_identity_that_comes_twice_in_one_chunk_is_taken_once(shop: Shop) -> None:
    receipt = shop.post(call(2), call(1), call(1), call(1, to="+447700900999"))
    assert ["accepted", "accepted", "duplicate", "conflict"] == outcomes(receipt)
    assert [(2,)] == shop.rows("SELECT count(*) FROM events")


def test_of_equals_in_one_chunk_all_are_compared_with_what_is_stored(shop: Shop) -> None:
    shop.post(call(1))
    receipt = shop.post(call(1, to="+447700900999"), call(1), call(1, to="+447700900999"))
    assert ["conflict", "duplicate", "conflict"] == outcomes(receipt)


def test_the_same_id_from_another_source_is_another_event(shop: Shop) -> None:
    shop.post(call(1))
    other = Intake(engine=shop.engine, products=products(), source="voice-us-1")
    assert ["accepted"] == outcomes(other.ingest(payloads([call(1)]), AT))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"account": "nobody"}, "unknown_account"),
        ({"product": "voice.mars"}, "unknown_product"),
        ({"to": "+33123456789"}, "no_rate"),
        ({"occurred_at": "2026-09-30T23:59:59.999999Z"}, "no_contract"),
        ({"occurred_at": "2025-09-14T23:59:59Z"}, "too_old"),
    ],
)
def test_what_nothing_prices_waits_in_quarantine_with_its_reason(
    shop: Shop, changes: dict[str, object], reason: str
) -> None:
    receipt = shop.post(call(1, **changes))
    assert (["quarantined"], reason) == (outcomes(receipt), receipt.findings[0].reason)
    assert [("call-1",)] == shop.rows("SELECT id FROM quarantine")
    assert ([], ["duplicate"]) == (shop.totals(), outcomes(shop.post(call(1, **changes))))


def test_what_is_not_billable_is_stored_with_the_reason_and_adds_nothing(shop: Shop) -> None:
    assert ["accepted", "accepted"] == outcomes(shop.post(call(1, status="busy"), call(2, duration_seconds="0")))
    assert [(None, 0), (None, 0)] == shop.rows("SELECT price_id, billed FROM events WHERE reason > 0")
    assert [] == shop.totals()


def test_a_setup_fee_is_an_element_of_its_own(shop: Shop) -> None:
    shop.publish(card("voice.outbound,44,minute,60/60,0.02,0.05", id_="with-setup"))
    shop.admit("beta", cards=("with-setup",))
    shop.post(call(1, account="beta"), call(2, account="beta"))
    assert {(2, 240), (2, 2)} == {(events, quantity) for *_, events, quantity in shop.totals()}
    assert [("call-1", 1), ("call-2", 1)] == shop.rows("SELECT id, billed FROM event_elements ORDER BY id")


def test_a_subaccount_s_usage_is_its_payer_s(shop: Shop) -> None:
    below = account("acme-berlin", parent="acme", pays=False, currency="")
    add_accounts(shop.engine, [below], at=AT, actor="finance")
    shop.post(call(1, account="acme-berlin"))
    ((payer, used, *_),) = shop.totals()
    assert [("acme", payer), ("acme-berlin", used)] == shop.rows("SELECT id, account_id FROM accounts ORDER BY id")


def test_a_book_that_changed_since_the_payloads_were_prepared_rates_them(shop: Shop) -> None:
    intake = Intake(engine=shop.engine, products=products(), source=SOURCE)
    prepared = intake.prepare(payloads([call(1, account="beta")]), AT)
    shop.admit("beta")
    receipt = intake.write(prepared, AT)
    assert ["accepted"] == outcomes(receipt)


def test_a_month_without_a_partition_gets_one(shop: Shop) -> None:
    shop.publish(card(since="2026-01-01", id_="old"))
    shop.admit("beta", cards=("old",), since=date(2026, 1, 1))
    shop.post(call(1, account="beta", occurred_at="2026-02-28T23:59:59Z"))
    assert [("events_2026_02",)] == shop.rows("SELECT tableoid::regclass::text FROM events")
    assert [(5,)] == shop.rows("SELECT count(*) FROM pg_inherits WHERE inhparent = 'events'::regclass")


def test_two_who_report_the_same_events_at_once_store_them_once(shop: Shop) -> None:
    events = payloads([call(number) for number in range(500)])
    results: list[list[str]] = []

    def report(part: list[bytes]) -> None:
        intake = Intake(engine=shop.engine, products=products(), source=SOURCE)
        results.append(outcomes(intake.ingest(part, AT)))

    writers = [threading.Thread(target=report, args=[part]) for part in (events, events[::-1], events[250:])]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = [outcome for result in results for outcome in result]
    assert (500, 750) == (found.count("accepted"), found.count("duplicate"))
    assert [500] == [row[5] for row in shop.totals()]


def test_a_writer_that_waited_for_another_sees_what_that_one_stored(shop: Shop) -> None:
    # The other's row is invisible to the statement that waits for it; only the next one can compare.
    with transaction(shop.engine) as connection:
        connection.execute("INSERT INTO sources (id) VALUES (%s)", [SOURCE])
    results: list[list[str]] = []
    waiting = threading.Thread(target=lambda: results.append(outcomes(shop.post(call(1)))))
    with transaction(shop.engine) as connection:
        connection.execute(
            "INSERT INTO event_identity SELECT %s, now(), %s, source_id, 1, NULL, 'call-1' FROM sources",
            [next_batch(connection), "0" * 32],
        )
        waiting.start()
        blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
        while shop.rows(blocked) == [(0,)]:
            assert waiting.is_alive()
    waiting.join()
    assert [["conflict"]] == results
    assert [(0,)] == shop.rows("SELECT count(*) FROM events")


def test_an_import_stores_its_chunks_and_says_when_each_is_committed(shop: Shop) -> None:
    events = payloads([call(number) for number in range(10)])
    heard: list[Taken] = []

    def hear(taken: Taken) -> None:
        heard.append(taken)
        assert [(sum(len(each.chunk.payloads) for each in heard),)] == shop.rows("SELECT count(*) FROM events")

    chunks = [Chunk(events[i : i + 4], range(i + 1, i + 5)) for i in (0, 4, 8)]
    counts = import_usage(shop.engine, SOURCE, chunks, products=products(), at=AT, on_chunk=hear)
    assert (10, 3) == (counts[Outcome.ACCEPTED], len(heard))
    again = import_usage(shop.engine, SOURCE, chunks, products=products(), at=AT)
    assert (0, 10) == (again[Outcome.ACCEPTED], again[Outcome.DUPLICATE])


def test_a_stream_that_breaks_off_leaves_what_was_read_committed(shop: Shop) -> None:
    def broken() -> object:
        yield Chunk(payloads([call(1)]), [1])
        yield Chunk(payloads([call(2)]), [2])
        raise OSError("the stream breaks off")

    with pytest.raises(OSError, match="breaks off"):
        import_usage(shop.engine, SOURCE, broken(), products=products(), at=AT)  # type: ignore[arg-type]
    assert [("call-1",), ("call-2",)] == shop.rows("SELECT id FROM events ORDER BY id")


def test_sources_may_be_named_by_the_payloads(shop: Shop) -> None:
    intake = Intake(engine=shop.engine, products=products(), source=None)
    receipt = intake.ingest(payloads([call(1, source="b"), call(1, source="a"), call(2)]), AT)
    assert ["accepted", "accepted", "rejected"] == outcomes(receipt)
    assert [("a", "call-1"), ("b", "call-1")] == shop.rows(
        "SELECT s.id, e.id FROM events e JOIN sources s USING (source_id) ORDER BY 1"
    )


def test_when_it_was_received_is_the_time_that_was_given(shop: Shop) -> None:
    at = datetime(2026, 10, 3, 1, 2, 3, 456789, tzinfo=UTC)
    shop.post(call(1), at=at)
    assert [(at,)] == shop.rows("SELECT received_at FROM events")


def test_what_cannot_be_committed_is_not_acknowledged(shop: Shop) -> None:
    """A database that refuses at the very end, when every statement has succeeded."""
    heard: list[Taken] = []
    with transaction(shop.engine) as connection:
        connection.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the disk is full'; END $$;"
            "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON event_identity DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    with pytest.raises(psycopg.errors.RaiseException, match="the disk is full"):
        shop.post(call(1))
    chunks = [Chunk(payloads([call(1)]), [1])]
    with pytest.raises(psycopg.errors.RaiseException, match="the disk is full"):
        import_usage(shop.engine, SOURCE, chunks, products=products(), at=AT, on_chunk=heard.append)
    assert [] == heard
    with transaction(shop.engine) as connection:
        connection.execute("DROP TRIGGER refuse ON event_identity")
    assert ["accepted"] == outcomes(shop.post(call(1)))


def test_a_book_that_is_being_changed_is_waited_for_and_then_used(shop: Shop) -> None:
    add_accounts(shop.engine, [account("beta")], at=AT, actor="finance")
    intake = Intake(engine=shop.engine, products=products(), source=SOURCE)
    prepared = intake.prepare(payloads([call(1, account="beta")]), AT)
    results: list[list[str]] = []
    waiting = threading.Thread(target=lambda: results.append(outcomes(intake.write(prepared, AT))))
    with transaction(shop.engine) as publishing:
        lock_books(publishing, exclusive=True)
        publishing.execute(
            "INSERT INTO contracts (account_id, effective_from, cards, added_at)"
            " SELECT account_id, '2026-10-01', '{list}', now() FROM accounts WHERE id = 'beta'"
        )
        raise_book_version(publishing)
        waiting.start()
        while shop.rows("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'") == [(0,)]:
            assert waiting.is_alive(), "it did not wait"
    waiting.join()
    assert [["accepted"]] == results


def test_an_intake_that_tries_again_after_a_failure_uses_nothing_of_what_was_rolled_back(shop: Shop) -> None:
    """A source's number that was never committed would store the events beside those under its next number."""
    intake = Intake(engine=shop.engine, products=products(), source=SOURCE)
    with transaction(shop.engine) as connection:
        connection.execute("ALTER SEQUENCE batches RENAME TO gone")
    with pytest.raises(psycopg.errors.UndefinedTable):
        intake.ingest(payloads([call(1)]), AT)
    with transaction(shop.engine) as connection:
        connection.execute("ALTER SEQUENCE gone RENAME TO batches")
    assert ["accepted"] == outcomes(intake.ingest(payloads([call(1)]), AT))
    assert ["duplicate"] == outcomes(shop.post(call(1)))
    assert [(SOURCE, "voice.outbound")] == shop.rows(
        "SELECT s.id, p.id FROM events JOIN sources s USING (source_id) JOIN products p USING (product_id)"
    )


def test_usage_of_a_source_that_is_not_there_is_not_stored(shop: Shop) -> None:
    intake = Intake(engine=shop.engine, products=products(), source=SOURCE)
    prepared = intake.prepare(payloads([call(1)]), AT)
    with transaction(shop.engine) as connection:
        connection.execute("DELETE FROM sources")
    with pytest.raises(SourceUnknownError, match="start again"):
        intake.write(prepared, AT)
    assert [(0,)] == shop.rows("SELECT count(*) FROM event_identity")


def test_batches_are_one_range_however_often_usage_is_repeated_or_refused(shop: Shop) -> None:
    """Each run keeps the ranges that it saw: repetitions, refusals and what is only quarantined leave no gap."""
    for repeated in (call(1), call(1), call(1), call(2, account="nobody"), call(3, duration_seconds="-1"), call(4)):
        shop.post(repeated)
    with snapshot(shop.engine) as connection:
        assert "{[1,7)}" == written_batches(connection)


def tries_of(chunks: Sequence[bool]) -> list[int]:
    """Which chunks are tried as if all of them were new, if they turn out as told: True where nothing was known."""
    hope, tried = Hope(), []
    for number, clean in enumerate(chunks):
        if hope.is_new:
            tried.append(number)
        hope.learn(WORTH_A_TRY, known=0 if clean else 1)
    return tried


def test_after_a_try_that_failed_ever_more_clean_chunks_come_before_the_next() -> None:
    failing = [clean for wait in (1, 2, 4, 8) for clean in (False, *[True] * wait)]
    assert [0, 2, 5, 10] == tries_of(failing)
    overlapping = [number % 3 != 0 for number in range(300)]
    assert [0, 2, 3, 6] == tries_of(overlapping)
    assert [0] == tries_of([False] * 300)
    assert list(range(300)) == tries_of([True] * 300)


def test_patience_has_a_bound_and_ends_when_nothing_was_known_for_long() -> None:
    hope = Hope(patience=LONGEST_PATIENCE, clean=LONGEST_PATIENCE)
    hope.learn(WORTH_A_TRY, known=1)
    for _ in range(LONGEST_PATIENCE):
        assert not hope.is_new
        hope.learn(WORTH_A_TRY, known=0)
    assert (True, LONGEST_PATIENCE) == (hope.is_new, hope.patience)
    hope.learn(WORTH_A_TRY, known=0)
    assert 0 == hope.patience


def test_what_was_too_small_to_be_tried_is_no_failure_and_nothing_is_no_sign() -> None:
    hope = Hope(patience=2, clean=2)
    hope.learn(WORTH_A_TRY - 1, known=1)
    assert (2, 0) == (hope.patience, hope.clean)
    hope.learn(0, known=0)
    assert 0 == hope.clean


def test_an_intake_learns_of_what_it_writes(shop: Shop) -> None:
    """What is repeated is not tried as new again and again: a try that fails leaves dead rows behind."""
    intake = Intake(engine=shop.engine, products=products(), source=SOURCE)
    events = payloads([call(number) for number in range(WORTH_A_TRY)])
    for number in range(4):
        intake.ingest(events, AT)
        intake.ingest(payloads([call(WORTH_A_TRY + number)]), AT)
    with transaction(shop.engine) as connection:
        connection.execute("SELECT pg_stat_force_next_flush()")
    ((dead,),) = shop.rows("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'event_identity'")
    assert 2 * WORTH_A_TRY >= int(str(dead)) > 0


def test_numbers_ahead_are_forgotten_with_all_else_that_the_database_was_seen_to_have(shop: Shop) -> None:
    """One that took its place may not know that they were given, and gives them to somebody else."""
    intake = Intake(engine=shop.engine, products=products(), source=SOURCE, ahead=4)
    intake.ingest(payloads([call(1)]), AT)
    with transaction(shop.engine) as connection:  # what the first transaction gave was lost
        connection.execute("SELECT setval('batches', (SELECT max(batch) FROM written_batches))")
    intake.forget()
    for number in range(2, 12):
        intake.ingest(payloads([call(number)]), AT)
        Intake(engine=shop.engine, products=products(), source=SOURCE).ingest(payloads([call(number)]), AT)
    assert [(11,)] == shop.rows("SELECT count(*) FROM events")
