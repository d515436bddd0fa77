"""How benchmarks measure: alternating runs, their medians, the memory that ours took, and one JSON object of it all.

A figure is a ratio against a reference of the same run, so that it means the same on any machine.
"""

import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

RUNS = 5

_STATUS = Path("/proc/self/status")
_RESET_PEAK = Path("/proc/self/clear_refs")
_KIB_A_MB = 1024

Run = Callable[[], object]
"""What is measured."""

Prepare = Callable[[], Run]
"""Makes one run ready, unmeasured: a fresh table, a connection that is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Median seconds of both sides, and the most memory that one of our runs took beyond what was held before it."""

    ours: float
    reference: float
    peak_memory_mb: int


def alternate(ours: Prepare, reference: Prepare, runs: int = RUNS) -> Times:
    """Run both sides in turn, `runs` times each, after one run of the reference that does not count."""
    reference()()
    taken: tuple[list[float], list[float]] = ([], [])
    peak = 0
    for _ in range(runs):
        run = ours()
        before = _peak_from_here()
        taken[0].append(_seconds(run))
        peak = max(peak, _kib("VmHWM") - before)
        taken[1].append(_seconds(reference()))
    return Times(
        ours=statistics.median(taken[0]),
        reference=statistics.median(taken[1]),
        peak_memory_mb=peak // _KIB_A_MB,
    )


def report(
    name: str,
    ratio: float,
    bound: float,
    *,
    at_most: bool,
    sizes: Mapping[str, int],
    times: Times,
    compared: str,
    further: Mapping[str, tuple[float, float]] | None = None,
) -> None:
    """Print the result. `at_most`: the ratio is to stay below the bound, else above it.

    `further` are other ratios, each with the bound that it is to stay below; `holds` is of all of them.
    """
    holds = ratio <= bound if at_most else ratio >= bound
    result = {
        "name": name,
        "ratio": round(ratio, 3),
        "bound": bound,
        "holds": holds and all(value <= limit for value, limit in (further or {}).values()),
        **{key: {"ratio": round(value, 3), "bound": limit} for key, (value, limit) in (further or {}).items()},
        "sizes": dict(sizes),
        "seconds": {"ours": round(times.ours, 3), "reference": round(times.reference, 3)},
        "peak_memory_mb": times.peak_memory_mb,
        "compared": compared,
    }
    print(json.dumps(result))


def _seconds(run: Run) -> float:
    start = time.perf_counter()
    kept = run()
    taken = time.perf_counter() - start
    del kept  # what it made is thrown away after the watch has stopped
    return taken


def _peak_from_here() -> int:
    """Forget the peak so far. Returns what the process holds now, KiB."""
    if _RESET_PEAK.exists():
        _RESET_PEAK.write_text("5")
    return _kib("VmRSS")


def _kib(name: str) -> int:
    """A figure of this process as Linux tells it; 0 elsewhere."""
    if not _STATUS.exists():
        return 0
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(lines[name].split()[0])
