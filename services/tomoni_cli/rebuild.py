"""`tomoni federation rebuild`: make the read model anew beside the one that serves, compare, and switch."""

import sys
import time
from collections.abc import Coroutine
from typing import Annotated

import msgspec
from cyclopts import Parameter
from rich.console import Console

from tomoni import loop
from tomoni_cli.federation import Config, Owner
from tomoni_cli.progress import progress_bar
from tomoni_federation.rebuild import run
from tomoni_federation.rebuild.filling import RebuildFaultError
from tomoni_federation.settings import load_settings

NOT_SWITCHED = 1
"""Exit status: the version that served serves on."""


class DifferenceReport(msgspec.Struct, frozen=True):
    """How the versions differ about an issuer, as `--json` prints it."""

    log: str
    position: int
    subjects: int
    unknown_before: int


class FaultReport(msgspec.Struct, frozen=True):
    """The entry on which the rebuild stopped."""

    log: str
    position: int
    reason: str


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The outcome, as `--json` prints it."""

    switched: bool
    seconds: float
    resumed: bool = False
    logs: int = 0
    entries: int = 0
    differences: tuple[DifferenceReport, ...] = ()
    fault: FaultReport | None = None
    refused: str | None = None
    dropped: bool | None = None


def rebuild(
    *,
    config: Config,
    database: Owner,
    accept_difference: Annotated[bool, Parameter(negative=())] = False,
    rollback: Annotated[bool, Parameter(negative=())] = False,
    drop_before: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Make the read model anew from the mirror while the service answers, and let the new one serve if it is equal.

    Called again after it was interrupted it goes on where it was. Status 1: nothing was switched; an entry on which it
    stopped, or each issuer about which the two differ, is named.

    Parameters
    ----------
    config
        Settings file (TOML); TOMONI_… variables prevail.
    database
        Connection string of the owner.
    accept_difference
        Let the new one serve although it differs: this version of the software reads the entries otherwise than the one
        that made what serves now.
    rollback
        Let the one that served before serve again, brought up to date.
    drop_before
        Remove the one that served before. The next switch does so, too.
    json
        Print a JSON object instead of text.

    """
    if rollback + drop_before + accept_difference > 1:
        print("tomoni: name one of --accept-difference, --rollback and --drop-before", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    federation = load_settings(config).federation
    with progress_bar() as show:
        if drop_before:
            report = _carried_out(run.drop_before(database))
        elif rollback:
            report = _carried_out(run.roll_back(database, federation, on_progress=show))
        else:
            report = _carried_out(
                run.rebuild(database, federation, accept_difference=accept_difference, on_progress=show)
            )
    if json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        _print(report)
    sys.exit(0 if report.switched or report.dropped is not None else NOT_SWITCHED)


def _carried_out(work: Coroutine[None, None, run.Rebuilt | bool]) -> Report:
    started = time.monotonic()
    loop.calm_collector()
    try:
        done = loop.run(work)
    except RebuildFaultError as fault:
        return Report(
            switched=False, seconds=_since(started), fault=FaultReport(fault.log, fault.position, fault.reason)
        )
    except run.RebuildRefusedError as refused:
        return Report(switched=False, seconds=_since(started), refused=str(refused))
    if isinstance(done, bool):
        return Report(switched=False, seconds=_since(started), dropped=done)
    return Report(
        switched=done.switched,
        resumed=done.resumed,
        seconds=_since(started),
        logs=done.extent.logs,
        entries=done.extent.entries,
        differences=tuple(DifferenceReport(*found) for found in done.differences),
    )


def _print(report: Report) -> None:
    console = Console(soft_wrap=True, highlight=False)
    if report.dropped is not None:
        console.print("The version before is removed." if report.dropped else "There is no version before.")
        return
    if report.fault is not None:
        console.print(f"{report.fault.log}  position {report.fault.position} is in the way: {report.fault.reason}")
    for found in report.differences:
        console.print(
            f"{found.log}  differs from position {found.position} on; subjects that differ: {found.subjects}, "
            f"of these unknown before: {found.unknown_before}"
        )
    if report.switched:
        console.print(
            f"{report.entries} entries of {report.logs} logs, in {report.seconds:.1f} s. The new version serves."
        )
        return
    console.print(f"Nothing is switched: {report.refused or 'the version that served serves on'}.")


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
