"""Law 6: "Σ lines = total; |residual| ≤ ½ minor unit". Here: on drafts and final invoices as they are stored.

And: the numbers of a series are 1..n, whoever issues them at once and however often they must begin again.
"""

import threading
from dataclasses import dataclass, field
from fractions import Fraction

import psycopg
import pytest

from billing.drafts import stored_price
from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize
from billing.store.engine import open_engine, snapshot, transaction
from billing.store.queries.invoices import all_invoices
from rates.money import EXPONENTS
from tests.invoicing import CLOSED, stock
from tests.shop import OCTOBER, Shop, call, products

FINALIZERS = 8
ACCOUNTS = 60


@pytest.mark.parametrize("final", [False, True])
def test_a_total_is_the_sum_of_its_lines_and_each_was_rounded_by_half_a_cent(shop: Shop, *, final: bool) -> None:
    stock(shop, 5, 800)
    draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
    if final:
        finalize(shop.engine, OCTOBER, CLOSED)
    with snapshot(shop.engine) as connection:
        invoices = list(all_invoices(connection, OCTOBER, final=final))
    assert 5 == len(invoices)
    for invoice in invoices:
        scale = 10 ** EXPONENTS[invoice.party.currency]
        assert invoice.total_minor == sum(line.amount_minor for line in invoice.lines)
        for line in invoice.lines:
            exact = line.unit_price * Fraction(line.base_quantity, line.unit_size)
            assert exact == Fraction(line.amount_minor, scale) + line.residual
            assert abs(line.residual) <= Fraction(1, 2 * scale)


def test_a_price_comes_back_from_the_store_as_exact_as_it_was() -> None:
    for price in (Fraction("0.0140"), Fraction(1, 10**12), Fraction(95, 10**14), Fraction("999999999999.5")):
        rounded, exact = stored_price(price)
        assert price == Fraction(exact or rounded)


@dataclass(slots=True)
class Finalizers:
    """Finalizers at work at once, each beginning again whenever its transaction is undone."""

    url: str
    undone: int = 0
    failures: list[BaseException] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        engine = open_engine(self.url, connections=1)
        try:
            while True:
                try:
                    issued = finalize(engine, OCTOBER, CLOSED, batch=3).issued
                except psycopg.errors.RaiseException:
                    with self.lock:
                        self.undone += 1
                    continue
                if not issued and self.nothing_left(engine):
                    return
        except BaseException as failure:  # noqa: BLE001  shown by the test
            self.failures.append(failure)
        finally:
            engine.dispose()

    @staticmethod
    def nothing_left(engine: object) -> bool:
        with snapshot(engine) as connection:  # type: ignore[arg-type]
            row = connection.execute("SELECT count(*) FROM draft_invoices").fetchone()
        return row == (0,)


def test_eight_finalizers_that_are_often_undone_number_from_one_on_without_a_gap(shop: Shop) -> None:
    shop.publish()
    names = [f"acct-{number:02}" for number in range(ACCOUNTS)]
    shop.admit(*names)
    shop.post(*(call(number, account=name) for number, name in enumerate(names)), at=CLOSED)
    draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
    with transaction(shop.engine) as connection:
        # Undone at the worst moment: after the number was taken and the invoice written.
        connection.execute(
            "CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN IF random() < 0.4 THEN RAISE EXCEPTION 'undone'; END IF; RETURN NULL; END $$"
        )
        connection.execute(
            "CREATE TRIGGER undo AFTER INSERT ON invoice_events FOR EACH STATEMENT EXECUTE FUNCTION undo()"
        )
    work = Finalizers(shop.engine.url.render_as_string(hide_password=False))
    threads = [threading.Thread(target=work.run) for _ in range(FINALIZERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == work.failures
    assert work.undone > 0
    assert list(range(1, ACCOUNTS + 1)) == [number for (number,) in shop.rows("SELECT number FROM invoices ORDER BY 1")]
    assert [(name,) for name in names] == shop.rows("SELECT account FROM invoices ORDER BY 1")
    assert [(ACCOUNTS,)] == shop.rows("SELECT last FROM invoice_numbers")
    assert [(ACCOUNTS, ACCOUNTS, ACCOUNTS)] == shop.rows(
        "SELECT (SELECT count(*) FROM invoice_lines), (SELECT count(*) FROM invoice_billed_totals),"
        " (SELECT count(*) FROM invoice_events)"
    )
