"""Making a new node: its keys, its database, its rules, its settings and the request to be admitted."""

import re
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tomoni import nkey, roles
from tomoni.admission import AdmissionRequest, sign_admission
from tomoni.auth import TokenIssuer
from tomoni.jurisdictions import JurisdictionError, by_code
from tomoni.key_names import heartbeat_key_name
from tomoni.secret_files import write_secret
from tomoni.settings import SettingsError
from tomoni.tlog.cosignature import Cosigner, generate_cosigner
from tomoni.tlog.note import Signer, generate_signer
from tomoni_registry import schema
from tomoni_registry.schemes.rules import RulesError, parse_rules, preset
from tomoni_registry.settings import Files
from tomoni_registry.vault.keyring import Keyring
from tomoni_registry.vault.sealing import create_key


@dataclass(frozen=True, kw_only=True)
class NewNode:
    """What a new node is made from. Connection strings may hold passwords, so none is shown."""

    code: str
    federation: str
    folder: Path
    preset: str
    http_port: int = 8400
    relay_port: int = 8401
    hub: str = "nats://127.0.0.1:4222"
    receipt_key: str | None = None
    """Verifier key of the federation's receipts; without one the relay's settings have to be completed."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Databases:
    """Connection strings: the owner's, and those of the running roles where a database administrator made them."""

    owner: str
    node: str | None = None
    relay: str | None = None


async def initialise(node: NewNode, databases: Databases) -> Files:
    """Make a node under a folder and return where its files lie; raise SettingsError rather than replace anything."""
    files = Files(node.folder.absolute())
    rules = _rules_of(node)
    if files.folder.exists() and any(files.folder.iterdir()):
        raise SettingsError(f"{files.folder} is not empty: a node's keys are never replaced; choose another folder")
    await roles.create_database(databases.owner)
    await schema.bring_up_to_date(databases.owner)
    await schema.require_empty(databases.owner)
    node_dsn = databases.node or await roles.create_role(databases.owner, "node")
    relay_dsn = databases.relay or await roles.create_role(databases.owner, "relay")
    await schema.grant(databases.owner, roles.user_of(node_dsn), roles.user_of(relay_dsn))
    files.keys.mkdir(mode=0o700, parents=True)
    files.folder.chmod(0o700)
    request = _make_keys(node, files)
    files.rules.write_bytes(rules)
    files.admission.write_bytes(msgspec.json.format(msgspec.json.encode(request)) + b"\n")
    write_secret(files.relay_settings, _relay_settings(node, relay_dsn).encode())
    write_secret(files.settings, _node_settings(node, node_dsn).encode())
    return files


def _rules_of(node: NewNode) -> bytes:
    """Return the preset with the node's own code in it."""
    try:
        by_code(node.code)
        text = preset(node.preset).decode()
        text = re.sub(r'^code = "\d{6}"$', f'code = "{node.code}"', text, count=1, flags=re.MULTILINE)
        parse_rules(text.encode())
    except (JurisdictionError, RulesError) as error:
        raise SettingsError(str(error)) from error
    return text.encode()


def _make_keys(node: NewNode, files: Files) -> AdmissionRequest:
    origin = f"{node.federation}/{node.code}"
    log_key: Signer = generate_signer(origin)
    heartbeat_key: Cosigner = generate_cosigner(heartbeat_key_name(origin))
    seed = nkey.generate_seed()
    write_secret(files.log_key(1), log_key.to_text().encode() + b"\n")
    write_secret(files.heartbeat_key, heartbeat_key.to_text().encode() + b"\n")
    write_secret(files.transport_seed, seed.encode() + b"\n")
    Keyring.create(files.keys)
    create_key(files.mac_key)
    TokenIssuer.create(files.token_key)
    return sign_admission(node.federation, node.code, log_key, heartbeat_key, seed)


def _node_settings(node: NewNode, dsn: str) -> str:
    return f"""\
# The node of {node.code}. This file holds a password: keep it readable by the node's account alone.
code = {_toml(node.code)}
federation = {_toml(node.federation)}
folder = "."
database = {_toml(dsn)}

[tokens]
issuer = {_toml(f"https://{node.federation}/{node.code}")}
audience = {_toml(f"{node.federation}/{node.code}")}
key = "keys/tokens.jwk"

[http]
host = "127.0.0.1"
port = {node.http_port}
"""


def _relay_settings(node: NewNode, dsn: str) -> str:
    receipt_key = "# receipt_key = … (ask the federation)"
    if node.receipt_key is not None:
        receipt_key = f"receipt_key = {_toml(node.receipt_key)}"
    seed_file = Files(node.folder.absolute()).transport_seed
    return f"""\
# The relay of {node.code}. This file holds a password: keep it readable by the relay's account alone.
code = {_toml(node.code)}
federation = {_toml(node.federation)}
database = {_toml(dsn)}
{receipt_key}

[hub]
servers = [{_toml(node.hub)}]
seed_file = {_toml(str(seed_file))}

[http]
host = "127.0.0.1"
port = {node.relay_port}
"""


def _toml(text: str) -> str:
    """Return a TOML basic string; JSON's escapes are a subset of TOML's."""
    return msgspec.json.encode(text).decode()
