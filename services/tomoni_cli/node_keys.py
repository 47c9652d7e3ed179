"""`tomoni registry rotate-log-key`, `rotate-transport-key` and `replace-keys`: a town's keys, held and not."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from tomoni import times
from tomoni_cli.asking import NO
from tomoni_cli.supervising import THIS_MACHINE, NodeUrl, TokenFile, command
from tomoni_registry.keys import replacing
from tomoni_registry.keys.transport import ask_for_transport_key, use_next_transport_key
from tomoni_registry.settings import load_settings

Config = Annotated[Path, Parameter(help="Settings file of the node (TOML); TOMONI_… variables prevail.")]


def rotate_log_key(*, token_file: TokenFile, url: NodeUrl = THIS_MACHINE) -> None:
    """Go on with a new key for the log. The node makes it, and both keys sign the next checkpoint."""
    answer = command(url, token_file, "/v1/keys/rotate", "look for a new log-….key in its folder of keys")
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"The log goes on with {answer.json()['log_key']}.")
    console.print("Back up the folder of keys now: without the new key the log has no voice.")


def rotate_transport_key(
    *,
    config: Config,
    use: Annotated[bool, Parameter(negative=(), help="The secretariat has accepted the next key: use it.")] = False,
) -> None:
    """Make the next key for the hub and ask for it, while node and relay run; with `--use`, connect with it.

    Until the federation retires the key before, both connect: nothing waits.
    """
    loaded = load_settings(config)
    console = Console(soft_wrap=True, highlight=False)
    if use:
        use_next_transport_key(loaded)
        console.print("Start the relay again: it connects with the next key.")
        return
    asyncio.run(ask_for_transport_key(loaded))
    console.print(f"Send to the secretariat:  {loaded.files.transport_request}")
    console.print("Once it is accepted, run this again with --use.")


def replace_keys(
    *,
    config: Config,
    from_size: Annotated[int, Parameter(help="The size that the secretariat has named.")],
    database: Annotated[str, Parameter(help="Connection string of the owner.", env_var="TOMONI_OWNER_DATABASE")],
    vault_keys_are_lost: Annotated[
        bool, Parameter(negative=(), help="The keys of the vault are gone, for good: give up what it holds.")
    ] = False,
) -> None:
    """Make new keys for a log that lost its own or had them stolen, with the node stopped, and ask for readmission."""
    loaded = load_settings(config)
    today = times.day_in_japan(times.now())
    replacement = replacing.replace_keys(loaded, database, from_size, today, vault_keys_are_lost=vault_keys_are_lost)
    try:
        request = asyncio.run(replacement)
    except replacing.ReplacementRefused as refused:
        sys.stderr.write(f"tomoni: no key was made: {refused}\n")
        sys.exit(NO)
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"The log goes on from size {from_size} with {request.log_key}.")
    console.print(f"Send to the secretariat:  {loaded.files.admission}")
    console.print(f"Back up, apart from the database: {loaded.files.keys}")
    console.print("Start node and relay. What they publish counts once the town is readmitted.")
