"""What is signed, and what is not as it was signed any more."""

from dataclasses import replace

import pytest

from billing.approvals import Signable, Unsigned, same_person, signature, unsigned
from billing.periods import Period

OCTOBER, NOVEMBER = Period.parse("2026-10"), Period.parse("2026-11")
ACME = Signable(payer=1, invoice_id=11, account="acme", sha256="a1", inputs_sha256="i1")
BOLT = Signable(payer=2, invoice_id=12, account="bolt", sha256="b1", inputs_sha256="i2")


def test_what_is_as_it_was_signed_is_not_named() -> None:
    assert {} == unsigned({(1, ""): ACME, (2, ""): BOLT}, {(1, ""): ACME, (2, ""): BOLT}, frozenset())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"sha256": "a2"}, Unsigned.CHANGED),
        ({"invoice_id": 99}, Unsigned.CHANGED),  # another draft, even if it says the same
        ({"inputs_sha256": "i9"}, Unsigned.INPUTS),
    ],
)
def test_a_draft_of_which_one_thing_is_otherwise_is_named(change: dict[str, object], why: Unsigned) -> None:
    now = replace(ACME, **change)  # type: ignore[arg-type]
    assert {"acme": why} == unsigned({(1, ""): ACME, (2, ""): BOLT}, {(1, ""): now, (2, ""): BOLT}, frozenset())


def test_what_came_along_and_what_went_away_is_named_unless_it_is_issued() -> None:
    assert {"acme": Unsigned.ADDED} == unsigned({}, {(1, ""): ACME}, frozenset())
    assert {"acme": Unsigned.WITHDRAWN} == unsigned({(1, ""): ACME}, {}, frozenset())
    assert {} == unsigned({(1, ""): ACME}, {}, frozenset({(1, "")}))


def test_the_digest_is_of_the_month_and_of_each_draft_with_its_inputs_in_any_order() -> None:
    digest = signature(OCTOBER, [ACME, BOLT])
    assert digest == signature(OCTOBER, [BOLT, ACME])
    others = [
        signature(NOVEMBER, [ACME, BOLT]),
        signature(OCTOBER, [ACME]),
        *(
            signature(OCTOBER, [replace(ACME, **{name: "x"}), BOLT])  # type: ignore[arg-type]
            for name in ("account", "sha256", "inputs_sha256")
        ),
    ]
    assert len({digest, *others}) == 1 + len(others)


def test_names_are_compared_without_case_width_and_surplus_white_space() -> None:
    assert same_person("Ann Lee", " ann  LEE ")
    assert same_person("Ann", "\uff21\uff4e\uff4e")  # written wide
    assert not same_person("Ann", "Anna")
