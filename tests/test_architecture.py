"""The house rules that types and import contracts cannot say, each proven to bite on a small bad snippet.

A module lying directly in `rates/` or `billing/` (and a deck dialect) is a noun: its numbers are exact,
it reads no clock, and it does no decimal arithmetic, which rounds silently at 28 digits (`rates/money.py`
sees to that).
"""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("rates", "billing", "cli")
MODULE_LINES = 400
FUNCTION_LINES = 70

Rule = Callable[[ast.Module], Iterator[ast.AST]]


# --- what a noun may not do ---------------------------------------------------------------------------------


def divisions(tree: ast.Module) -> Iterator[ast.AST]:
    """True division: `Fraction(x, 60)` replaces it."""
    for node in ast.walk(tree):
        operator = isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
        if operator or _name(node) in {"truediv", "divide", "true_divide"}:
            yield node


def floats(tree: ast.Module) -> Iterator[ast.AST]:
    """Float literals, `float(...)`, float types of numpy and Arrow. `isinstance(x, float)` is a refusal."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=float() | complex()) | ast.Call(func=ast.Name(id="float")):
                yield node
            case ast.Attribute(attr="float16" | "float32" | "float64" | "float128" | "double"):
                yield node


def roundings(tree: ast.Module) -> Iterator[ast.AST]:
    """`round(...)`, the built-in or a library's: it goes half to even, and usually through floats."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {
            "round",
            "np.round",
            "np.around",
            "pc.round",
        }:
            yield node


def averages(tree: ast.Module) -> Iterator[ast.AST]:
    """`.mean(...)` and `weights=` (as of `bincount`): both sum in floats."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="mean")) | ast.keyword(arg="weights"):
                yield node


def clocks(tree: ast.Module) -> Iterator[ast.AST]:
    """`.now(...)` and its kin: time is an argument."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="now" | "utcnow" | "today")):
                yield node


def decimal_arithmetic(tree: ast.Module) -> Iterator[ast.AST]:
    """Arithmetic on what is visibly a Decimal: a call, or a name or field annotated or assigned as one."""
    for node in ast.walk(tree):
        if _name(node) in {"quantize", "scaleb", "fma", "to_integral_value", "getcontext", "localcontext"}:
            yield node
    yield from _decimal_operations(tree, frozenset())


def _decimal_operations(scope: ast.AST, outer: frozenset[str]) -> Iterator[ast.AST]:
    known = outer | set(_decimal_names(scope))
    for node in _inside(scope):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield from _decimal_operations(node, known)
            continue
        match node:
            case ast.BinOp(left=left, right=right):
                operands = [left, right]
            case ast.AugAssign(target=target, value=value):
                operands = [target, value]
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
                operands = [operand]
            case _:
                continue
        if any(_is_decimal(operand, known) for operand in operands):
            yield node


def _inside(scope: ast.AST) -> Iterator[ast.AST]:
    """Every node of a scope; of a scope in it, that scope only."""
    for node in ast.iter_child_nodes(scope):
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield from _inside(node)


def _decimal_names(scope: ast.AST) -> Iterator[str]:
    """Names that a scope binds to a Decimal; a class's fields as `self.field`."""
    prefix = "self." if isinstance(scope, ast.ClassDef) else ""
    for node in _inside(scope):
        match node:
            case ast.arg(arg=name, annotation=annotation) if annotation and _says_decimal(annotation):
                yield name
            case ast.AnnAssign(target=target, annotation=annotation) if _says_decimal(annotation):
                yield prefix + ast.unparse(target)
            case ast.Assign(targets=targets, value=value) if _is_decimal(value, frozenset()):
                yield from map(ast.unparse, targets)


def _says_decimal(annotation: ast.expr) -> bool:
    return re.fullmatch(r"(decimal\.)?Decimal( \| None)?", ast.unparse(annotation)) is not None


def _is_decimal(node: ast.expr, known: frozenset[str]) -> bool:
    if isinstance(node, ast.Call):
        return ast.unparse(node.func).removeprefix("decimal.").split(".")[0] == "Decimal"
    return ast.unparse(node) in known


def _name(node: ast.AST) -> str:
    """The last name of `a.b.c` or `c`, else nothing."""
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


# --- what a package may import, and how long things may be --------------------------------------------------


def foreign_imports(tree: ast.Module, own: str) -> Iterator[ast.AST]:
    """Imports of neither the standard library nor what the pattern `own` names, and relative ones."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                imported = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), level=0):
                imported = [module]
            case ast.ImportFrom():
                imported = ["."]
            case _:
                continue
        if not all(_top(name) in sys.stdlib_module_names or re.fullmatch(own, name) for name in imported):
            yield node


def _top(module: str) -> str:
    return module.partition(".")[0]


def kernel_imports(tree: ast.Module) -> Iterator[ast.AST]:
    """In `rates`, what is neither the standard library, numpy nor pyarrow."""
    return foreign_imports(tree, r"(rates|numpy|pyarrow)(\..+)?")


def verifier_imports(tree: ast.Module) -> Iterator[ast.AST]:
    """In the verifier, what is not the standard library: it shares nothing with what it verifies."""
    return foreign_imports(tree, r"billing\.verifier\w*")


def long_functions(tree: ast.Module) -> Iterator[ast.AST]:
    """Functions of more than 70 lines."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(lineno=first, end_lineno=int(last)) if last - first >= FUNCTION_LINES:
                yield node
            case ast.AsyncFunctionDef(lineno=first, end_lineno=int(last)) if last - first >= FUNCTION_LINES:
                yield node


EXACT: tuple[Rule, ...] = (divisions, floats, roundings, averages)


def rules_for(path: Path) -> Iterator[Rule]:
    """The rules that hold for a module, by where it lies (`path` is relative to the project)."""
    folder = path.parent.as_posix()
    yield long_functions
    if path.parts[0] == "rates" or folder == "billing":
        yield from EXACT
        if path != Path("rates/money.py"):
            yield decimal_arithmetic
    if path.parts[0] in {"rates", "billing"} and path.parts[:2] != ("billing", "server"):
        yield clocks  # below the two roots, time is an argument
    if path.parts[0] == "rates":
        yield kernel_imports
    if path.match("billing/verifier*.py"):
        yield verifier_imports


def breaches(source: str, rules: Iterator[Rule] | tuple[Rule, ...]) -> list[str]:
    """Each broken rule with its line: `7: floats: rate * 0.5`."""
    tree = ast.parse(source)
    return [
        f"{getattr(node, 'lineno', 0)}: {rule.__name__}: {ast.unparse(node).splitlines()[0]}"
        for rule in rules
        for node in rule(tree)
    ]


# --- the rules hold -----------------------------------------------------------------------------------------

MODULES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_keeps_the_rules_of_its_place(path: Path) -> None:
    source = (ROOT / path).read_text(encoding="utf-8")
    assert [] == breaches(source, rules_for(path))
    assert len(source.splitlines()) <= MODULE_LINES, f"{path}: more than {MODULE_LINES} lines; make it two"
    assert path.name != "__init__.py" or not source, f"{path}: an __init__.py is empty"


@pytest.mark.parametrize(
    ("path", "rules"),
    [
        ("rates/tiers.py", {*EXACT, decimal_arithmetic, clocks, kernel_imports}),
        ("rates/dialects/carrier.py", {*EXACT, decimal_arithmetic, clocks, kernel_imports}),
        ("rates/money.py", {*EXACT, clocks, kernel_imports}),
        ("billing/ledger.py", {*EXACT, decimal_arithmetic, clocks}),
        ("billing/verifier.py", {*EXACT, decimal_arithmetic, clocks, verifier_imports}),
        ("billing/verifier_cards.py", {*EXACT, decimal_arithmetic, clocks, verifier_imports}),
        ("billing/flows/fold.py", {clocks}),
        ("billing/server/app.py", set[Rule]()),
        ("cli/main.py", set[Rule]()),
    ],
)
def test_the_place_of_a_module_decides_its_rules(path: str, rules: set[Rule]) -> None:
    assert rules | {long_functions} == set(rules_for(Path(path)))


# --- the rules bite -----------------------------------------------------------------------------------------

LONG = "def f():\n" + "    x = 1\n" * FUNCTION_LINES


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (divisions, "a = b / 60"),
        (divisions, "a /= 60"),
        (divisions, "a = np.true_divide(b, 60)"),
        (divisions, "from operator import truediv\na = reduce(truediv, b)"),
        (floats, "a = 0.5"),
        (floats, "a = 1e9"),
        (floats, "def f(a=-1.0): ..."),
        (floats, "a = float(b)"),
        (floats, "a = b.astype(np.float64)"),
        (floats, "a = pa.double()"),
        (roundings, "a = round(b, 2)"),
        (roundings, "a = np.round(b)"),
        (averages, "a = b.mean()"),
        (averages, "a = np.bincount(b, weights=c)"),
        (clocks, "a = datetime.now(UTC)"),
        (clocks, "a = date.today()"),
        (clocks, "a = datetime.datetime.utcnow()"),
        (decimal_arithmetic, "a = Decimal('0.1') * b"),
        (decimal_arithmetic, "a = b - decimal.Decimal(1)"),
        (decimal_arithmetic, "a = -Decimal.from_float(b)"),
        (decimal_arithmetic, "def f(price: Decimal) -> object: return price * 2"),
        (decimal_arithmetic, "def f(price: Decimal | None): return sum(n + price for n in b)"),
        (decimal_arithmetic, "def f(): a = Decimal(1); a += b"),
        (decimal_arithmetic, "class A:\n    price: Decimal\n    def f(self): return self.price + 1"),
        (decimal_arithmetic, "a = b.quantize(c)"),
        (decimal_arithmetic, "getcontext().prec = 60"),
        (kernel_imports, "import requests"),
        (kernel_imports, "from billing.invoices import Invoice"),
        (kernel_imports, "from . import money"),
        (verifier_imports, "from rates.money import exact"),
        (verifier_imports, "from billing import invoices"),
        (verifier_imports, "import billing.verifier_cards.numpy"),
        (verifier_imports, "def f():\n    import numpy as np"),
        (long_functions, LONG),
    ],
)
def test_a_breach_is_found(rule: Rule, source: str) -> None:
    assert 1 == len(breaches(source, (rule,)))


@pytest.mark.parametrize(
    "source",
    [
        "a = Fraction(b, 60) + c // 60",
        "if isinstance(a, float): raise TypeError",
        "a = normal(Decimal('0.10'))",
        "def f(price: Decimal) -> bool: return price < 0 or Fraction(price) * 2 > 1",
        "def f(price: Decimal): ...\ndef g(price: Fraction): return price * 2",
        "class A:\n    price: Decimal\ndef f(price: int): return price * 2",
        "def f(at: datetime): return at.date()",
        "import json\nfrom collections.abc import Mapping",
        LONG.removesuffix("    x = 1\n"),
    ],
)
def test_exact_code_passes(source: str) -> None:
    assert [] == breaches(
        source, (*EXACT, decimal_arithmetic, clocks, kernel_imports, verifier_imports, long_functions)
    )


# --- every tracked file -------------------------------------------------------------------------------------

# In character classes, so that this file does not match itself.
MACHINE = re.compile(r"(?<![A-Za-z0-9_.~-])/work[/]|/tmp[/]plan|/opt[/]wheels|[.]pyenv[/]")
ADDRESS = re.compile(r"://|(?<![\w-])--?(index-url|extra-index-url|find-links|i|f)\b| @ |/(work|home|root|tmp)/")


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_folder_of_one_machine() -> None:
    named = [
        f"{path.relative_to(ROOT)}: {found.group()}"
        for path in tracked()
        if (found := MACHINE.search(path.read_text(encoding="utf-8", errors="replace")))
    ]
    assert [] == named


@pytest.mark.parametrize("text", ["{}work/main", "see `{}work/x`", "{}tmp/plan/a", "~/.pyenv{}versions"])
def test_a_folder_of_one_machine_is_found(text: str) -> None:
    assert MACHINE.search(text.format("/"))


@pytest.mark.parametrize("text", ["billing/flows/work/", "a/work/b", "../work/"])
def test_a_folder_of_the_project_is_not_one_of_a_machine(text: str) -> None:
    assert not MACHINE.search(text)


def lock_faults(text: str) -> list[str]:
    """Lines that hold an address, and requirements without a hash."""
    faults = dict.fromkeys(line for line in text.splitlines() if ADDRESS.search(line))
    for requirement in re.split(r"\n(?=[A-Za-z0-9])", "\n" + re.sub(r"(?m)^#.*\n", "", text))[1:]:
        first = requirement.partition("\n")[0]
        if "==" not in first or "--hash=sha256:" not in requirement:
            faults[first] = None
    return list(faults)


def test_the_lock_has_hashes_and_no_addresses() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert [] == lock_faults(text)
    assert "\nhatchling==" in text, "the editable install builds without isolation"


@pytest.mark.parametrize(
    "text",
    [
        "--index-url https://example.org/simple\n",
        "--find-links wheels\n",
        "-i example.org\n",
        "rich @ file:rich.whl \\\n    --hash=sha256:00\n",
        "rich==1\n",
        "rich>=1 \\\n    --hash=sha256:00\n",
        "rich==1 \\\n    --hash=sha256:00\ntyper==1\n",
        "#    uv pip compile -o /home/someone/constraints.txt\n",
    ],
)
def test_a_fault_of_the_lock_is_found(text: str) -> None:
    assert 1 == len(lock_faults(text))
