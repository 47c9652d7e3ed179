"""`tomoni registry`: make a town's node, run it and its relay, look at rules."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter
from rich.console import Console

from tomoni import logging, loop, roles, settings
from tomoni.eventlog import SigningRefused
from tomoni.server import serve as serve_app
from tomoni.settings import SettingsError
from tomoni_cli import node_keys, vault
from tomoni_cli.recover import bring_back, tell
from tomoni_registry import schema
from tomoni_registry.app import open_registry
from tomoni_registry.initialise import Databases, NewNode, initialise
from tomoni_registry.relay.process import run_relay
from tomoni_registry.relay.settings import RelaySettings
from tomoni_registry.schemes.rules import PRESETS, RulesError, parse_rules, preset
from tomoni_registry.settings import RegistrySettings, load_settings

app = App(name="registry", help="A town's registry node: the only authority over its certificates.")
rules = App(name="rules", help="The rules of a scheme: presets of nine issuers, and checking an edited file.")
app.command(rules)
for _command in (
    vault.rotate_vault_key,
    vault.destroy_retired_keys,
    vault.erase,
    node_keys.rotate_log_key,
    node_keys.rotate_transport_key,
    node_keys.replace_keys,
):
    app.command(_command)
app.command("tomoni_cli.bundles:export_bundle", name="export", help="Write the log into a file to be carried.")
app.command("tomoni_cli.bundles:take_receipt", name="receipt", help="Keep a receipt that was carried back.")

Config = Annotated[Path, Parameter(help="Settings file (TOML); TOMONI_… variables prevail.")]


@app.command
def init(  # noqa: PLR0913  # the options of a command
    *,
    code: Annotated[str, Parameter(help="Six-digit code of the town, for example 131130.")],
    federation_name: Annotated[str, Parameter(help="Name of the federation, for example tomoni.example.")],
    database: Annotated[
        str,
        Parameter(
            help="Connection string of the owner; the database is made where missing.",
            env_var="TOMONI_OWNER_DATABASE",  # other accounts of the machine read command lines
        ),
    ],
    folder: Annotated[Path, Parameter(help="Folder for keys, rules and settings; must be empty or missing.")],
    preset: Annotated[str, Parameter(help="Rules to start from: `tomoni registry rules list`.")],
    node_database: Annotated[str | None, Parameter(help="Connection string of a role made for the node.")] = None,
    relay_database: Annotated[str | None, Parameter(help="Connection string of a role made for the relay.")] = None,
    receipt_key: Annotated[str | None, Parameter(help="Verifier key of the federation's receipts.")] = None,
    hub: Annotated[str, Parameter(help="Address of the hub.")] = "nats://127.0.0.1:4222",
    http_port: Annotated[int, Parameter(help="Port of the node.")] = 8400,
    relay_port: Annotated[int, Parameter(help="Port of the relay's health and metrics.")] = 8401,
) -> None:
    """Make a node: its keys, its database, its rules, its settings and the request to be admitted."""
    node = NewNode(
        code=code,
        federation=federation_name,
        folder=folder,
        preset=preset,
        http_port=http_port,
        relay_port=relay_port,
        hub=hub,
        receipt_key=receipt_key,
    )
    databases = Databases(owner=database, node=node_database, relay=relay_database)
    files = asyncio.run(initialise(node, databases))
    console = Console()
    console.print(f"Settings of the node:   {files.settings}")
    console.print(f"Settings of the relay:  {files.relay_settings}")
    console.print(f"Rules to check, edit:   {files.rules}")
    console.print(f"For the secretariat:    {files.admission}")
    console.print(f"Back up, apart from the database: {files.keys}")


@app.command
def serve(*, config: Config) -> None:
    """Run the node until SIGTERM."""
    logging.configure("registry")
    loaded = load_settings(config)
    try:
        loop.run(_serve(loaded))
    except SigningRefused as refused:
        sys.stderr.write(f"tomoni: the log must not go on: {refused}\n")
        sys.exit(3)


async def _serve(loaded: RegistrySettings) -> None:
    async with open_registry(loaded) as application:
        await serve_app(application, loaded.http.host, loaded.http.port)


@app.command
def relay(*, config: Config) -> None:
    """Run the relay until SIGTERM."""
    logging.configure("relay")
    loop.run(run_relay(settings.load(RelaySettings, config, private=True)))


@app.command
def migrate(
    *,
    config: Config,
    database: Annotated[str, Parameter(help="Connection string of the owner.", env_var="TOMONI_OWNER_DATABASE")],
) -> None:
    """Bring a node's database up to date after an upgrade, while the node is stopped."""
    loaded = load_settings(config)
    relay_settings = settings.load(_RelayDatabase, loaded.files.relay_settings)
    asyncio.run(_migrate(database, loaded.database, relay_settings.database))


@app.command
def recover(
    *,
    config: Config,
    source: Annotated[
        str, Parameter(name="--from", help="Address of the federation, or a folder of tlog-tiles files.")
    ],
    token_file: Annotated[
        Path | None, Parameter(help="File with a token of the federation, bound to this town (supervisor or auditor).")
    ] = None,
    last_word_is_lost: Annotated[
        bool, Parameter(negative=(), help="The file last-checkpoint is gone with the machine, for good.")
    ] = False,
    lost_key: Annotated[
        list[str] | None, Parameter(negative=(), help="Verifier key of the log whose private half is gone; repeatable.")
    ] = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Bring back what an old backup or a cloned machine lacks, from the federation's mirror, with the node stopped.

    Ends with status 1 where nothing could be brought back, 3 where the node still must not sign.
    """
    loaded = load_settings(config)
    told = bring_back(loaded, source, token_file, last_word_is_lost=last_word_is_lost, lost_keys=lost_key or ())
    if json:
        sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    else:
        tell(told, keys_are_lost=bool(lost_key))
    sys.exit(0 if told.signed == told.size else 3)


class _RelayDatabase(msgspec.Struct, frozen=True):
    database: str
    """The relay's other settings may still be incomplete."""


async def _migrate(owner: str, node: str, relay_database: str) -> None:
    await schema.bring_up_to_date(owner)
    await schema.grant(owner, roles.user_of(node), roles.user_of(relay_database))


@rules.command(name="list")
def list_presets(*, json: Annotated[bool, Parameter(negative=())] = False) -> None:
    """List the presets."""
    presets = {name: parse_rules(preset(name)) for name in PRESETS}
    if json:
        rows = [{"preset": name, "code": one.code, "name": one.name} for name, one in presets.items()]
        sys.stdout.write(msgspec.json.encode(rows).decode() + "\n")
        return
    for name, one in presets.items():
        Console().print(f"{name:10}  {one.code}  {one.name}")


@rules.command
def show(name: str) -> None:
    """Print a preset, to be copied and edited."""
    try:
        sys.stdout.write(preset(name).decode())
    except RulesError as error:
        raise SettingsError(str(error)) from error


@rules.command
def check(file: Path) -> None:
    """Check a file of rules and print what it offers."""
    try:
        parsed = parse_rules(file.read_bytes())
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from error
    except RulesError as error:
        raise SettingsError(f"{error} (in {file})") from error
    kinds = ", ".join(sorted(parsed.kinds))
    Console().print(f"{parsed.code} {parsed.name}: {kinds}; {len(parsed.link)} way(s) of being linked to the place")
