"""What a scenario expects of the bills, and the comparison: each difference as a sentence."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from billing.bills import Bill, Bills
from billing.invoices import LINE_FIELDS, Kind, record
from billing.periods import Period
from rates.money import Currency, DecimalInvalidError, format_minor, parse_fraction
from rates.reading import Reader

Line = Mapping[str, str]
"""Some of the fields of a line (FORMATS 6) as text."""

_NUMBERS = frozenset({"events", "quantity", "unit_price", "amount", "residual", "base_quantity"})
_COUNTED: Mapping[str, Callable[[Bills], int]] = {
    "quarantined": lambda bills: len(bills.quarantined),
    "zero_rated": lambda bills: len(bills.zero_rated),
    "rejected": lambda bills: len(bills.rejects),
    "duplicates": lambda bills: len(bills.duplicates),
    "conflicts": lambda bills: len(bills.conflicts),
    "superseded": lambda bills: len(bills.superseded),
    "held": lambda bills: len(bills.held),
}
"""What can be counted beside the lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedInvoice:
    """An invoice, or with `account` "" all of them together: only what is stated is compared.

    `lines` are the lines that must be there, in any order; `line_count` says how many there are, None: any number.
    """

    account: str = ""
    period: str = ""
    kind: Kind = Kind.USAGE
    total: str | None = None
    lines: tuple[Line, ...] = ()
    line_count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """The table `[expect]` of a scenario."""

    whole: ExpectedInvoice
    invoices: tuple[ExpectedInvoice, ...] = ()
    counts: Mapping[str, int]


def read_expectation(read: Reader, periods: Sequence[Period]) -> Expectation:
    """The expectation of the table `expect`, of the periods that are billed; faults go to the reader."""
    months = tuple(map(str, periods))
    counts = {name: read.integer(name) for name in _COUNTED if name in read.table}
    invoices = []
    for below in read.each("invoice"):
        account = below.text("account")
        kind = below.choice("kind", tuple(Kind), Kind.USAGE)
        period = below.choice("period", months, months[0])
        invoices.append(replace(_expected(below, account), kind=Kind(kind), period=period))
        below.finish()
    expectation = Expectation(whole=_expected(read, ""), invoices=tuple(invoices), counts=counts)
    read.finish()
    if expectation == Expectation(whole=ExpectedInvoice(), counts={}):
        read.fault("", "expects nothing", "state a total, lines or counts")
    return expectation


def compare(expectation: Expectation, bills: Bills) -> list[str]:
    """What came out otherwise than expected, one sentence each."""
    faults = list(_compare_invoice(expectation.whole, bills.bills, ""))
    for expected in expectation.invoices:
        found = [each for each in bills.bills if _is_expected(expected, each)]
        what = "invoice" if expected.kind is Kind.USAGE else "credit note"
        place = (
            f"{what} of {expected.account}{f', {expected.period}' if bills.bills and bills.bills[0].period else ''}: "
        )
        faults += _compare_invoice(expected, found, place) if found else [f"{place}there is none"]
    for name, count in expectation.counts.items():
        came = _COUNTED[name](bills)
        if came != count:
            faults.append(f"{name}: expected {count}, came {came}{_why(name, bills)}")
    return faults


def _is_expected(expected: ExpectedInvoice, found: Bill) -> bool:
    return expected.account == found.account and expected.kind is found.kind and found.period in {"", expected.period}


def _expected(read: Reader, account: str) -> ExpectedInvoice:
    total = read.text("total", "") if "total" in read.table else None
    if total is not None and _number(total) is None:
        read.fault("total", "is not a plain decimal", "write it as in 0.04")
    read.seen.update({"total", "lines"})
    return ExpectedInvoice(
        account=account,
        total=total,
        lines=tuple(map(_line, read.each("line"))),
        line_count=read.integer("lines") if "lines" in read.table else None,
    )


def _line(read: Reader) -> Line:
    line: dict[str, str] = {}
    for key, value in read.table.items():
        read.seen.add(key)
        if key not in LINE_FIELDS:
            read.fault(key, "is not a field of a line", f"known: {', '.join(LINE_FIELDS)}")
        elif isinstance(value, list):
            line[key] = " ".join(map(str, value))
        elif isinstance(value, str | int) and not isinstance(value, bool):
            line[key] = str(value)
        else:
            read.fault(key, "is not a string", "numbers of money or quantity are strings")
        if key in _NUMBERS and key in line and _number(line[key]) is None:
            read.fault(key, "is not a number", "write a plain decimal or a fraction, as in 0.04 or -1/300")
    return line


def _compare_invoice(expected: ExpectedInvoice, bills: Sequence[Bill], place: str) -> Iterable[str]:
    lines = [_texts(record(line, each.currency)) for each in bills for line in each.lines]
    if expected.total is not None:
        currencies = {each.currency for each in bills}
        if len(currencies) > 1:
            yield f"{place}total: the invoices are in {', '.join(sorted(currencies))}; expect them one by one"
        came = _sum(bills)
        if _number(came) != _number(expected.total):
            yield f"{place}total: expected {expected.total}, came {came}"
    if expected.line_count is not None and expected.line_count != len(lines):
        shown = "".join(f"\n    {_shown(line, LINE_FIELDS)}" for line in lines)
        yield f"{place}lines: expected {expected.line_count}, came {len(lines)}{shown}"
    for i in _unmatched(expected.lines, lines):
        wanted = expected.lines[i]
        near = min(lines, key=lambda line: len(_differences(wanted, line)), default=None)
        nearest = f"; nearest: {_shown(near, _differences(wanted, near))}" if near is not None else ""
        yield f"{place}line {i + 1} ({_shown(wanted, wanted)}): no line is like it{nearest}"


def _sum(bills: Sequence[Bill]) -> str:
    money = bills[0].currency if bills else Currency("USD")
    return format_minor(sum(each.total_minor for each in bills), money)


def _unmatched(wanted: Sequence[Line], lines: Sequence[Line]) -> list[int]:
    """Positions of the wanted lines that stay without one when as many as possible get a line of their own."""
    taken: dict[int, int] = {}

    def place(i: int, tried: set[int]) -> bool:
        for j, line in enumerate(lines):
            if j not in tried and not _differences(wanted[i], line):
                tried.add(j)
                if j not in taken or place(taken[j], tried):
                    taken[j] = i
                    return True
        return False

    return [i for i in range(len(wanted)) if not place(i, set())]


def _differences(wanted: Line, line: Line) -> list[str]:
    """The fields that are not as wanted."""
    return [key for key, value in wanted.items() if not _equal(key, value, line[key])]


def _equal(key: str, wanted: str, came: str) -> bool:
    return _number(wanted) == _number(came) if key in _NUMBERS else wanted == came


def _number(text: str) -> Fraction | None:
    try:
        return parse_fraction(text)
    except DecimalInvalidError:
        return None


def _texts(line: Mapping[str, object]) -> dict[str, str]:
    return {key: " ".join(value) if isinstance(value, list) else str(value) for key, value in line.items()}


def _shown(line: Line, keys: Iterable[str]) -> str:
    return ", ".join(f"{key} {line[key]!r}" for key in keys)


def _why(name: str, bills: Bills) -> str:
    """What is behind a count."""
    unrated = {"quarantined": bills.quarantined, "zero_rated": bills.zero_rated}.get(name, ())
    reasons = [f"{each.id} {each.reason}" for each in unrated]
    if name == "rejected":
        reasons = [f"payload {each.row + 1} {each.pointer} {each.reason}" for each in bills.rejects]
    return f": {', '.join(reasons)}" if reasons else ""
