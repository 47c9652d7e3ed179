"""`tomoni registry rotate-log-key`, `rotate-transport-key` and `replace-keys`: a town's keys, held and not."""

import asyncio
import sys
import uuid
from pathlib import Path
from typing import Annotated

import httpx
import stamina
from cyclopts import Parameter
from rich.console import Console

from tomoni import times
from tomoni.addresses import is_private_url
from tomoni.secret_files import SecretFileError, read_secret
from tomoni.settings import SettingsError
from tomoni_cli.asking import NO, UNKNOWN
from tomoni_registry.keys import replacing
from tomoni_registry.keys.transport import ask_for_transport_key, use_next_transport_key
from tomoni_registry.settings import load_settings

Config = Annotated[Path, Parameter(help="Settings file of the node (TOML); TOMONI_… variables prevail.")]


def rotate_log_key(
    *,
    token_file: Annotated[
        Path, Parameter(help="File with a supervisor's token, which only you can read.", env_var="TOMONI_TOKEN_FILE")
    ],
    url: Annotated[str, Parameter(help="Address of the node.")] = "http://127.0.0.1:8400",
) -> None:
    """Go on with a new key for the log. The node makes it, and both keys sign the next checkpoint."""
    try:
        token = read_secret(token_file).decode("ascii").strip()
    except (SecretFileError, UnicodeDecodeError) as error:
        raise SettingsError(f"the token file cannot be used: {error}") from error
    if not is_private_url(url):
        raise SettingsError("name the node by https://: your token travels there (http:// on this machine)")
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid.uuid4())}
    try:
        with httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as client:
            answer = _send(client)
    except httpx.TransportError:
        sys.stderr.write("tomoni: the node did not answer: look for a new log-….key in its folder of keys\n")
        sys.exit(UNKNOWN)
    if not answer.is_success:
        sys.stderr.write(f"tomoni: {answer.text}\n")
        sys.exit(NO)
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"The log goes on with {answer.json()['log_key']}.")
    console.print("Back up the folder of keys now: without the new key the log has no voice.")


@stamina.retry(on=httpx.TransportError, attempts=5)
def _send(client: httpx.Client) -> httpx.Response:
    """Send the command, again with the same key where the answer is lost."""
    return client.post("/v1/keys/rotate", json={})


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
