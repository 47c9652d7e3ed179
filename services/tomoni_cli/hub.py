"""`tomoni hub`: run the hub, or make a new one."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter
from rich.console import Console

from tomoni import logging, loop, settings
from tomoni.jurisdictions.catalogue import all_jurisdictions, former_jurisdictions
from tomoni.transport import asyncapi
from tomoni_federation.hub.initialise import Place, initialise_hub, key_file
from tomoni_federation.hub.process import run_hub
from tomoni_federation.hub.settings import HubSettings

app = App(name="hub", help="The hub: a nats-server with an account for every jurisdiction.")


@app.default
def run(*, config: Annotated[Path, Parameter(help="Settings file (TOML); TOMONI_… variables prevail.")]) -> None:
    """Run the hub until SIGTERM."""
    logging.configure("hub")
    codes = {one.code for one in (*all_jurisdictions(), *former_jurisdictions())}
    loop.run(run_hub(settings.load(HubSettings, config), codes))


@app.command
def describe() -> None:
    """Print the NATS side of the system as an AsyncAPI document; docs/asyncapi.json is what this prints."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(asyncapi.describe()), indent=2).decode() + "\n")


@app.command
def init(
    folder: Path,
    *,
    federation: Annotated[str, Parameter(help="Name of the federation, for example tomoni.example.")],
    log_url: Annotated[str, Parameter(help="Address of the federation's own log, ending in /log.")],
    verifier_key: Annotated[str, Parameter(help="Verifier key of the federation's own log.")],
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(help="Port for clients; 0 takes a free one and keeps it.")] = 0,
    http_port: Annotated[int, Parameter(help="Port for health and metrics.")] = 8490,
    token_file: Annotated[Path | None, Parameter(help="Token to read the log with.")] = None,
    federation_key: Annotated[
        str | None, Parameter(help="Public nkey that the federation's service has made; else one is made.")
    ] = None,
    cluster: Annotated[Place | None, Parameter(help="Make it one of three hubs.")] = None,
) -> None:
    """Make keys and settings of a new hub, alone or, with --cluster.…, one of three."""
    file = initialise_hub(
        folder.absolute(),
        federation=federation,
        log_url=log_url,
        verifier_key=verifier_key,
        host=host,
        port=port,
        http_port=http_port,
        token_file=token_file,
        federation_key=federation_key,
        place=cluster,
    )
    console = Console()
    console.print(f"Settings: {file}")
    if federation_key is None:
        console.print(f"Give the federation's service its key: {key_file(folder.absolute(), 'federation')}")
    console.print(f"Take offline: {key_file(folder.absolute(), 'system')}")
