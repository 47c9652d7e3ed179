"""The command `tomoni demo`."""

import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter
from rich.console import Console

from tomoni_cli.demo.api import UnexpectedAnswer
from tomoni_cli.demo.processes import ProcessError
from tomoni_cli.demo.system import System
from tomoni_cli.demo.tour import Tour, TourFailed
from tomoni_cli.demo.towns import TOWNS
from tomoni_cli.embedded.postgres import EmbeddedPostgresError

INTERRUPTIONS: Final = (signal.SIGINT, signal.SIGTERM)

app = App(name="demo", help="Run a federation and five towns on this machine, and take a tour.")


@app.default
def demo(
    *,
    exit: Annotated[bool, Parameter(negative=(), help="Stop after the tour.")] = False,  # noqa: A002
    fresh: Annotated[bool, Parameter(negative=(), help="Forget the last demonstration first.")] = False,
    folder: Annotated[Path | None, Parameter(help="Where everything is kept; .tomoni/demo by default.")] = None,
) -> None:
    """Start everything, take the tour, and stay up until Ctrl-C."""
    console = Console(soft_wrap=True)
    for number in INTERRUPTIONS:
        signal.signal(number, _interrupt)
    try:
        with _state_folder(folder, fresh=fresh) as state:
            _show(console, state, stay=not exit)
    except KeyboardInterrupt:
        console.print("Stopped.")
        sys.exit(130)
    except (EmbeddedPostgresError, ProcessError, TourFailed, UnexpectedAnswer, OSError) as error:
        console.print(f"[red]The demonstration failed:[/] {error}", markup=True, highlight=False)
        sys.exit(1)


def _interrupt(*_: object) -> None:
    """Leave whatever is being done, once: the stopping that follows is not interrupted."""
    _ignore_interruptions()
    raise KeyboardInterrupt


def _ignore_interruptions() -> None:
    for number in INTERRUPTIONS:
        signal.signal(number, signal.SIG_IGN)


def _show(console: Console, state: Path, *, stay: bool) -> None:
    console.print("[bold]Tomoni ともに[/]: sworn in one town, honoured in the next")
    console.print(f"Starting PostgreSQL, the federation, the hub and {len(TOWNS)} towns in {state} …", highlight=False)
    with System(state, TOWNS) as system:
        Tour(system, console).run()
        console.print("\n[bold green]Every step was as it should be.[/]")
        if stay:
            _stay_up(console, system)
        _ignore_interruptions()
    console.print("Everything is stopped.")


def _stay_up(console: Console, system: System) -> None:
    """Print the addresses and wait for Ctrl-C; one that comes while they are printed waits until they are."""
    signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTIONS)
    _print_addresses(console, system)
    signal.sigwait(INTERRUPTIONS)
    _ignore_interruptions()  # before they are let through again: a second one may be waiting
    signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTIONS)


def _print_addresses(console: Console, system: System) -> None:
    console.print("\nThe system stays up. Its interfaces, and tokens to try them with:")
    verifier = system.federation_token("verifier")
    console.print(f"\n[bold]Federation[/]  {system.federation.url}/schema/openapi.json", highlight=False)
    console.print(f"  verifier: {verifier}", highlight=False)
    for town in system.towns:
        console.print(f"\n[bold]{town.name}[/]  {system.node(town).url}/schema/openapi.json", highlight=False)
        console.print(f"  clerk: {system.node_token(town, 'clerk')}", highlight=False)
    console.print(f"\nLog files are in {system.folder / 'logs'}. Stop with Ctrl-C.", highlight=False)


@contextmanager
def _state_folder(folder: Path | None, *, fresh: bool) -> Generator[Path]:
    """Take a folder that no other demonstration is using; by default the first free one of a row."""
    for candidate in [folder.absolute()] if folder else _default_folders():
        candidate.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(candidate.with_name(candidate.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        try:
            if fresh:
                shutil.rmtree(candidate, ignore_errors=True)
            candidate.mkdir(exist_ok=True)
            yield candidate
        finally:
            os.close(lock)
        return
    raise OSError("another demonstration is using the folder: name another with --folder")


def _default_folders() -> list[Path]:
    base = Path.cwd() / ".tomoni"
    if os.geteuid() == 0 and not _open_to_others(Path.cwd()):
        base = Path("/var/lib/tomoni-demo")  # PostgreSQL does not run as root, and `nobody` must reach its folder
    return [base / "demo", *(base / f"demo-{number}" for number in range(2, 10))]


def _open_to_others(folder: Path) -> bool:
    return all(part.stat().st_mode & 0o001 for part in (folder, *folder.parents))
