"""How long a person waits for `tollbook --help`, beyond what Python itself takes to start."""

import argparse
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.harness import RUNS, Prepare, Run, alternate, report

BOUND = 0.3
_KIB_A_MB = 1024


def command(arguments: Sequence[str | Path]) -> Prepare:
    """A command, run to its end, with what it prints thrown away."""

    def prepare() -> Run:
        return lambda: subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)

    return prepare


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    program = Path(sys.executable).with_name("tollbook")
    times = alternate(command([program, "--help"]), command([sys.executable, "-c", "pass"]), options.runs)
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    report(
        "cli_start",
        times.ours - times.reference,
        BOUND,
        at_most=True,
        sizes={"modules": len([*Path(__file__).parents[1].joinpath("cli").rglob("*.py")])},
        times=replace(times, peak_memory_mb=largest // _KIB_A_MB),
        compared="`tollbook --help` beside `python -c pass`, both to their end; the ratio is seconds, ours less the"
        " reference's; memory is the largest process's",
    )


if __name__ == "__main__":
    main()
