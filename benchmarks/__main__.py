"""`python -m benchmarks`: the figures of docs/performance.md, measured anew."""

from __future__ import annotations

import argparse
import asyncio

from rich.console import Console
from rich.table import Table

from benchmarks import identity, lists, proxy, startup, stored_chat
from benchmarks.comparison import Comparison, Length
from benchmarks.lists import PageFigure
from benchmarks.platform import machine, running_servers
from benchmarks.startup import Figure


def main() -> None:
    """Run the comparisons and print them as a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=4, help="length of one round (4)")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds of each side (5)")
    options = parser.parse_args()

    console = Console(width=140)
    console.print(" · ".join(machine()))
    table = Table("figure", "bare proxy", "platform", "ratio", "difference", "CPU per answer", "target")
    comparisons, pages, of_identity = measure(Length(options.seconds, options.rounds))
    for figure in comparisons:
        table.add_row(
            figure.name,
            f"{figure.bare:,.2f} {figure.unit}",
            f"{figure.platform:,.2f} {figure.unit}",
            f"{figure.ratio:.2f}",
            f"{figure.platform - figure.bare:+,.2f}",
            f"{figure.bare_cpu:,.0f} / {figure.platform_cpu:,.0f} µs",
            figure.target,
        )
    console.print(table)

    table = Table("page", "median", "target")
    for page in pages:
        table.add_row(page.name, f"{page.milliseconds:.1f} ms", page.target)
    console.print(table)

    table = Table("figure", "median", "target")
    for each in (*of_identity, *startup.run(rounds=options.rounds)):
        table.add_row(each.name, each.value, each.target)
    console.print(table)


def measure(length: Length) -> tuple[list[Comparison], list[PageFigure], list[Figure]]:
    """Everything that one running stack is enough for; long lists come last, behind the chats."""
    with running_servers() as servers:

        async def run() -> tuple[list[Comparison], list[PageFigure], list[Figure]]:
            comparisons = await proxy.measure(servers, length)
            comparisons += await stored_chat.measure(servers, length)
            of_identity = await identity.measure(servers, seconds=length.seconds)
            return comparisons, await lists.measure(servers, seconds=length.seconds), of_identity

        return asyncio.run(run())


if __name__ == "__main__":
    main()
