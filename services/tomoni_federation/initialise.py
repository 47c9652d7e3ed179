"""Making a new federation: its keys, its database and its settings."""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tomoni import nkey, roles
from tomoni.auth import TokenIssuer
from tomoni.key_names import heartbeat_key_name, receipt_key_name
from tomoni.secret_files import write_secret
from tomoni.settings import SettingsError
from tomoni.tlog.cosignature import generate_cosigner
from tomoni.tlog.note import generate_signer
from tomoni_federation.schema import prepare
from tomoni_federation.settings import COUNTER, EMERGENCY, Files
from tomoni_federation.statements.keys import rotate


@dataclass(frozen=True, kw_only=True)
class NewFederation:
    """What a new federation is made from. Connection strings may hold passwords, so none is shown."""

    name: str
    folder: Path
    owner_database: str = field(repr=False)
    database: str | None = field(default=None, repr=False)
    """Of a role that an administrator has made; None: the owner makes one."""
    http_port: int = 8500
    hub: str = "nats://127.0.0.1:4222"
    hub_seed: Path | None = None
    """The seed the hub has made for the federation; None: one is made here, and the hub is given its public half."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """Where the files lie, and the public keys others need."""

    files: Files
    verifier_key: str
    receipt_key: str
    transport_key: str | None


async def initialise(new: NewFederation) -> Made:
    """Make a federation under a folder; raise SettingsError rather than replace anything."""
    files = Files(new.folder.absolute())
    if files.folder.exists() and any(files.folder.iterdir()):
        raise SettingsError(f"{files.folder} is not empty: a federation's keys are never replaced; choose another")
    await roles.create_database(new.owner_database)
    await prepare(new.owner_database, None)
    database = new.database or await roles.create_role(new.owner_database, "federation")
    await prepare(new.owner_database, roles.user_of(database))
    files.keys.mkdir(mode=0o700, parents=True)
    files.folder.chmod(0o700)
    origin = f"{new.name}/federation"
    log_key, heartbeat = generate_signer(origin), generate_cosigner(heartbeat_key_name(origin))
    receipts = generate_cosigner(receipt_key_name(new.name))
    for path, key in ((files.log_key, log_key), (files.heartbeat_key, heartbeat), (files.receipts_key, receipts)):
        write_secret(path, key.to_text().encode() + b"\n")
    transport_key, seed_file = None, new.hub_seed
    if seed_file is None:
        seed, seed_file = nkey.generate_seed(), files.transport_seed
        transport_key = nkey.public_nkey(seed)
        write_secret(seed_file, seed.encode() + b"\n")
    TokenIssuer.create(files.token_key)
    rotate(files.statement_keys)
    write_secret(files.settings, _settings(new, database, seed_file.absolute()).encode())
    return Made(files=files, verifier_key=log_key.vkey, receipt_key=receipts.vkey, transport_key=transport_key)


def _settings(new: NewFederation, database: str, seed_file: Path) -> str:
    return f"""\
# The federation's service. This file holds a password: keep it readable by the service's account alone.
federation = {_toml(new.name)}
folder = "."
database = {_toml(database)}

[tokens]
issuer = {_toml(f"https://{new.name}/federation")}
audience = {_toml(f"{new.name}/federation")}
key = "keys/tokens.jwk"

[http]
host = "127.0.0.1"
port = {new.http_port}

[hub]
servers = [{_toml(new.hub)}]
seed_file = {_toml(str(seed_file))}

# How many seconds old an answer may be, by what it is asked for.
[purposes]
emergency = {EMERGENCY.total_seconds():.0f}
counter = {COUNTER.total_seconds():.0f}
"""


def _toml(text: str) -> str:
    """Return a TOML basic string; JSON's escapes are a subset of TOML's."""
    return msgspec.json.encode(text).decode()
