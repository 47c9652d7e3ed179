"""`tomoni federation`: make the federation's service, run it, verify its mirror."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter
from rich.console import Console

from tomoni import logging, loop, roles
from tomoni.database import Pool, snapshot
from tomoni.eventlog.errors import SigningRefused
from tomoni.eventlog.recovery import RecoveryRefused
from tomoni.server import serve as serve_app
from tomoni.service import open_pool
from tomoni_auditor.verify.sources import SourceError
from tomoni_cli.recover import FolderTail
from tomoni_federation.app import open_federation
from tomoni_federation.initialise import NewFederation, initialise
from tomoni_federation.mirror.verify import Fault, Verified, verify_mirror
from tomoni_federation.own_keys.log_key import rotate_log_key
from tomoni_federation.own_keys.receipt_key import rotate_receipt_key
from tomoni_federation.restore import restore as restore_database
from tomoni_federation.schema import prepare
from tomoni_federation.settings import FederationSettings, load_settings
from tomoni_federation.statements.keys import rotate

app = App(name="federation", help="The federation: proves every log, answers status and recognition.")

Config = Annotated[Path, Parameter(help="Settings file (TOML); TOMONI_… variables prevail.")]
Owner = Annotated[
    str,
    Parameter(help="Connection string of the owner.", env_var="TOMONI_OWNER_DATABASE"),
]
"""In the environment, because other accounts of the machine read command lines."""


@app.command
def init(
    *,
    federation_name: Annotated[str, Parameter(help="Name of the federation, for example tomoni.example.")],
    database: Owner,
    folder: Annotated[Path, Parameter(help="Folder for keys and settings; must be empty or missing.")],
    run_database: Annotated[str | None, Parameter(help="Connection string of a role made for the service.")] = None,
    hub: Annotated[str, Parameter(help="Address of the hub.")] = "nats://127.0.0.1:4222",
    hub_seed: Annotated[Path | None, Parameter(help="Seed the hub made for the federation; else one is made.")] = None,
    http_port: Annotated[int, Parameter(help="Port of the service.")] = 8500,
) -> None:
    """Make a federation: its keys, its database and its settings."""
    made = asyncio.run(
        initialise(
            NewFederation(
                name=federation_name,
                folder=folder,
                owner_database=database,
                database=run_database,
                http_port=http_port,
                hub=hub,
                hub_seed=hub_seed,
            )
        )
    )
    console = Console(soft_wrap=True)
    console.print(f"Settings: {made.files.settings}")
    console.print(f"Verifier key of the log, for the hub and auditors: {made.verifier_key}")
    console.print(f"Verifier key of receipts, for every town's relay: {made.receipt_key}")
    if made.transport_key is not None:
        console.print(f"Public nkey, for the hub's settings: {made.transport_key}")
    console.print(f"Back up, apart from the database: {made.files.keys}")


@app.command
def serve(*, config: Config) -> None:
    """Run the service until SIGTERM."""
    logging.configure("federation")
    loaded = load_settings(config)
    try:
        loop.run(_serve(loaded))
    except SigningRefused as refused:
        sys.stderr.write(f"tomoni: the federation's log must not go on: {refused}\n")
        sys.exit(3)


async def _serve(loaded: FederationSettings) -> None:
    async with open_federation(loaded) as application:
        await serve_app(application, loaded.http.host, loaded.http.port)


@app.command
def migrate(*, config: Config, database: Owner) -> None:
    """Bring the database up to date after an upgrade, while the service is stopped."""
    asyncio.run(prepare(database, roles.user_of(load_settings(config).database)))


app.command("tomoni_cli.evidence:write", name="evidence", help="Write the evidence against a log as a file.")
app.command("tomoni_cli.rebuild:rebuild", name="rebuild", help="Make the read model anew, beside the one that serves.")
app.command("tomoni_cli.bundles:import_bundle", name="import", help="Take in a bundle that a town has carried here.")
app.command("tomoni_cli.bundles:give_receipt", name="receipt", help="Write a town's newest receipt into a file.")
for _name, _help in (
    ("suspend_key", "Suspend a town whose key is lost or stolen, from a proven size on."),
    ("affected", "List the documents about which a town's log said something that counts no more."),
    ("readmit", "Let a suspended or quarantined town go on from a proven size, with new keys."),
    ("accept_transport_key", "Let a town connect to the hub with its next key too."),
    ("retire_transport_key", "Refuse the transport key of a town that was replaced."),
):
    app.command(f"tomoni_cli.admissions:{_name}", name=_name.replace("_", "-"), help=_help)


@app.command
def restore(
    *,
    config: Config,
    database: Owner,
    copy: Annotated[Path, Parameter(name="--log", help="A copy of the federation's own log: tlog-tiles files.")],
    last_word_is_lost: Annotated[
        bool, Parameter(negative=(), help="The file last-checkpoint is gone with the machine, for good.")
    ] = False,
) -> None:
    """Make a lost database anew: who is admitted from a copy of the own log, everything else from the towns."""
    loaded = load_settings(config)
    try:
        restored = asyncio.run(
            restore_database(loaded, database, FolderTail(copy), last_word_is_lost=last_word_is_lost)
        )
    except (RecoveryRefused, SourceError) as refused:
        sys.stderr.write(f"tomoni: not restored: {refused}\n")
        sys.exit(1)
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{restored.size} entries of the own log came back; it names {restored.jurisdictions} jurisdictions.")
    console.print("Start the service: the towns send their logs again, and answers are unknown until they are proven.")


@app.command(name="rotate-statement-key")
def rotate_statement_key(*, config: Config) -> None:
    """Make the next key for signed statements; the service signs with it once it is started again.

    The public halves of the keys before stay published, so that filed statements verify; their private halves go.
    """
    kid = rotate(load_settings(config).files.statement_keys)
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"New statement key: {kid}")
    console.print("Start the service again, and back up the folder of keys.")


@app.command(name="rotate-log-key")
def rotate_own_log_key(*, config: Config) -> None:
    """Go on with a new key for the federation's own log, while the service runs; hubs and auditors follow."""
    key = asyncio.run(_with_pool(load_settings(config), rotate_log_key))
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"The federation's log goes on with {key}.")
    console.print("Back up the folder of keys now, and publish the key for new auditors and hubs.")


@app.command(name="rotate-receipt-key")
def rotate_own_receipt_key(*, config: Config) -> None:
    """Go on with a new key for receipts, with the service stopped; towns and auditors follow."""
    key = asyncio.run(_with_pool(load_settings(config), rotate_receipt_key))
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"Receipts are signed by {key}.")
    console.print("Start the service, back up the folder of keys, and publish the key for new towns and auditors.")


async def _with_pool(loaded: FederationSettings, do: Callable[[FederationSettings, Pool], Awaitable[str]]) -> str:
    async with await open_pool(loaded.database) as pool:
        return await do(loaded, pool)


@app.command(name="verify-mirror")
def verify(*, config: Config, json: Annotated[bool, Parameter(negative=())] = False) -> None:
    """Compute every mirrored log anew from its bytes and compare it with what its own key has signed.

    Ends with status 1 where something is wrong, naming the log and the position.
    """
    findings = asyncio.run(_verify(load_settings(config)))
    faults = [finding for finding in findings if isinstance(finding, Fault)]
    if json:
        sys.stdout.write(msgspec.json.encode([_row(finding) for finding in findings]).decode() + "\n")
    else:
        console = Console(soft_wrap=True, highlight=False)
        for finding in findings:
            console.print(_line(finding))
        console.print(f"{len(findings) - len(faults)} of {len(findings)} logs are as their own keys have signed them.")
    sys.exit(1 if faults else 0)


async def _verify(loaded: FederationSettings) -> list[Verified | Fault]:
    async with snapshot(loaded.database) as connection:
        return [finding async for finding in verify_mirror(connection, loaded.federation)]


def _line(finding: Verified | Fault) -> str:
    if isinstance(finding, Verified):
        return f"{finding.log}  {finding.size} entries, proven"
    return f"{finding.log}  position {finding.position} is WRONG: expected {finding.expected}"


def _row(finding: Verified | Fault) -> dict[str, object]:
    if isinstance(finding, Verified):
        return {"log": finding.log, "size": finding.size, "proven": True}
    return {"log": finding.log, "position": finding.position, "proven": False, "expected": finding.expected}
