"""`python -m benchmarks`: the figures of docs/performance.md, measured anew."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from benchmarks import proxy, startup
from benchmarks.platform import machine


def main() -> None:
    """Run the comparisons and print them as a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=4, help="length of one round (4)")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds of each side (5)")
    options = parser.parse_args()

    console = Console(width=120)
    console.print(" · ".join(machine()))
    table = Table("figure", "bare proxy", "platform", "ratio", "difference", "target")
    for figure in proxy.run(seconds=options.seconds, rounds=options.rounds):
        table.add_row(
            figure.name,
            f"{figure.bare:,.2f} {figure.unit}",
            f"{figure.platform:,.2f} {figure.unit}",
            f"{figure.ratio:.2f}",
            f"{figure.platform - figure.bare:+,.2f}",
            figure.target,
        )
    console.print(table)

    table = Table("figure", "median", "target")
    for start in startup.run(rounds=options.rounds):
        table.add_row(start.name, start.value, start.target)
    console.print(table)


if __name__ == "__main__":
    main()
