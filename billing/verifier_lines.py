"""Where two lists of lines disagree, as the verifier compares what it rated with what is billed."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from billing.verifier_usage import Raw, text, words

LINE_KEY = ("origin_period", "product", "element", "country", "destination", "tier", "unit", "unit_price")
LINE_FACTS = ("events", "quantity", "amount", "residual", "base_quantity", "base_unit", "cards")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Where two lists of lines disagree: the line key, the field (`line`: a whole line), and what each says."""

    key: tuple[str, ...]
    field: str
    expected: str
    actual: str


def compare(expected: Iterable[Raw], actual: Iterable[Raw]) -> list[Difference]:
    """Every difference between two lists of lines in the form of FORMATS 6; numbers are equal as numbers."""
    left, right = _by_key(expected), _by_key(actual)
    differences = []
    for key in sorted(left.keys() | right.keys()):
        ours, theirs = left.get(key, {"line": "absent"}), right.get(key, {"line": "absent"})
        for name in ("line",) if "line" in ours | theirs else LINE_FACTS:
            said = ours.get(name, "present"), theirs.get(name, "present")
            if said[0] != said[1]:
                differences.append(Difference(key=key, field=name, expected=said[0], actual=said[1]))
    return differences


def _by_key(lines: Iterable[Raw]) -> dict[tuple[str, ...], dict[str, str]]:
    keyed: dict[tuple[str, ...], dict[str, str]] = {}
    for line in lines:
        said = {name: " ".join(words(line[name])) if name == "cards" else text(line, name) for name in LINE_FACTS}
        said |= {name: str(Fraction(said[name])) for name in LINE_FACTS[:5]}
        key = (*(text(line, name) for name in LINE_KEY[:-1]), str(Fraction(text(line, "unit_price"))))
        keyed[(*key, "again") if key in keyed else key] = said
    return keyed
