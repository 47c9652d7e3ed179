"""The command `tomoni bench`: which rows to run, at what size, and how to print them."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Literal, cast

import msgspec
from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from tomoni import logging, loop
from tomoni_cli.bench.rows import Row

app = App(name="bench", help="Measure speed against limits taken in the same run.")

RowName = Literal["append", "relay", "verify", "intake", "rebuild", "status", "batch", "watch", "memory"]
Run = Callable[[Path, int], Coroutine[None, None, list[Row]]]
"""Takes a folder of its own, gone afterwards, and a size. What several rows of a run share lies beside the folder."""

MODULES: Mapping[RowName, str] = {
    "append": "tomoni_cli.bench.append",
    "relay": "tomoni_cli.bench.relay",
    "verify": "tomoni_cli.bench.verify",
    "intake": "tomoni_cli.bench.intake",
    "rebuild": "tomoni_cli.bench.rebuild",
    "status": "tomoni_cli.bench.status",
    "batch": "tomoni_cli.bench.batch",
    "watch": "tomoni_cli.bench.watch",
    "memory": "tomoni_cli.bench.memory",
}


@app.default
def bench(
    *names: RowName,
    entries: Annotated[int, Parameter(help="Entries, events or documents to work on.")] = 100_000,
    json: Annotated[bool, Parameter(help="Print a JSON array instead of a table.")] = False,
) -> None:
    """Run the named rows, or all: append, relay, verify, intake, rebuild, status, batch, watch, memory."""
    logging.configure("bench", "WARNING")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="tomoni-bench-") as whole:
        Path(whole).chmod(0o755)  # as root, PostgreSQL runs as `nobody` and must reach its own folder below
        for name in dict.fromkeys(names or MODULES):
            print(f"measuring {name} …", file=sys.stderr)  # noqa: T201  # the command line talks to people
            run = cast("Run", import_module(MODULES[name]).run)
            folder = Path(whole) / name
            folder.mkdir()
            rows += loop.run(run(folder, entries))
            shutil.rmtree(folder)
    if json:
        print(msgspec.json.encode(rows).decode())  # noqa: T201
    else:
        Console().print(as_table(rows))


def as_table(rows: list[Row]) -> Table:
    """Return the rows as a table for people."""
    table = Table("work", "ours", "limit", "unit", "ratio", "to reach")
    for row in rows:
        ratio, reach = f"{row.ratio:.2f}", "–"
        if row.reach is not None:
            colour = "green" if row.ratio >= row.reach else "red"
            ratio, reach = f"[{colour}]{ratio}[/]", f"{row.reach:.2f}"
        digits = 1 if row.unit == "ms" else 0
        value, limit = f"{row.value:,.{digits}f}", f"{row.limit:,.{digits}f}"
        table.add_row(row.name, value, limit, row.unit, ratio, reach)
    return table
