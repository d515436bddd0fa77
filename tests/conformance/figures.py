"""Published figures of other systems, read from files: facts by name, with where they were published.

A file holds lists of cases: `cases`, each with its `model`, or `vectors` and `…_vectors`, of which the name of the list
says what they are about. Any directory of such files is read alike. Sentences are left out, and what is null is absent.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEPT = Path(__file__).with_name("vectors")
"""The figures that are kept in the project."""

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "vectors"
"""Where a checkout beside the project's specification finds them."""

Facts = Mapping[str, Any]

_SENTENCES = ("notes", "arithmetic", "check_explanation", "asserted_by", "source_status", "derived_cost_decimal")
CALL = "call"
"""What cases without a model of their own are about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case: the `system` that published it, the file it came in, what it is about, and all that is given."""

    system: str
    file: str
    model: str
    name: str
    facts: Facts

    def __str__(self) -> str:
        return f"{self.system}-{self.model}-{self.name}".replace(" ", "_")


def cases(directories: Sequence[Path]) -> list[Case]:
    """The cases of all files in some directories, in a fixed order, each once however often it is given."""
    found: dict[str, Case] = {}
    for directory in directories:
        for path in sorted(directory.glob("*.json")):
            for case in _in_file(path):
                found.setdefault(json.dumps([case.file, case.model, case.facts], sort_keys=True), case)
    return list(found.values())


def plain(value: object) -> object:
    """A fact without sentences and without what is null, in lists and tables of it too."""
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items() if each is not None and key not in _SENTENCES}
    return [plain(each) for each in value] if isinstance(value, list) else value


def lists(table: Mapping[str, object]) -> Iterator[tuple[str, list[Facts]]]:
    """The lists of cases in a file, by the key under which they stand."""
    for key, value in table.items():
        if (key in {"cases", "vectors"} or key.endswith("_vectors")) and isinstance(value, list):
            yield key, value


def _in_file(path: Path) -> Iterator[Case]:
    table = json.loads(path.read_text(encoding="utf-8"))
    for key, given in lists(table):
        for number, each in enumerate(given, start=1):
            facts: Any = plain(each)
            model = facts.get("model", CALL if key == "vectors" else key.removesuffix("_vectors"))
            yield Case(
                system=facts.get("system", path.stem),
                file=path.stem,
                model=model,
                name=facts.get("name", str(number)),
                facts=facts,
            )
