"""Commands to a running node as its supervisor."""

import sys
import uuid
from pathlib import Path
from typing import Annotated

import httpx
import stamina
from cyclopts import Parameter

from tomoni.addresses import is_private_url
from tomoni.settings import SettingsError
from tomoni_cli.asking import NO, UNKNOWN, read_token

TokenFile = Annotated[
    Path, Parameter(help="File with a supervisor's token, which only you can read.", env_var="TOMONI_TOKEN_FILE")
]
NodeUrl = Annotated[str, Parameter(help="Address of the node.")]
THIS_MACHINE = "http://127.0.0.1:8400"


def command(url: str, token_file: Path, path: str, in_doubt: str) -> httpx.Response:
    """Send a command and return the node's answer; end with status 1 where it refuses, 3 where it does not answer.

    `in_doubt` says where to look whether it was carried out all the same. Raises SettingsError where the token must not
    be sent.
    """
    token = read_token(token_file)
    if not is_private_url(url):
        raise SettingsError("name the node by https://: your token travels there (http:// on this machine)")
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid.uuid4())}
    try:
        with httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as client:
            answer = _send(client, path)
    except httpx.TransportError:
        sys.stderr.write(f"tomoni: the node did not answer: {in_doubt}\n")
        sys.exit(UNKNOWN)
    if not answer.is_success:
        sys.stderr.write(f"tomoni: {answer.text}\n")
        sys.exit(NO)
    return answer


@stamina.retry(on=httpx.TransportError, attempts=5)
def _send(client: httpx.Client, path: str) -> httpx.Response:
    """Send the command, again with the same key where the answer is lost."""
    return client.post(path, json={})
