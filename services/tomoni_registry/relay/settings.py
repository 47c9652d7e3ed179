"""The relay's settings."""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from tomoni import nkey
from tomoni.events.types import Code
from tomoni.key_names import receipt_key_name
from tomoni.secret_files import SecretFileError, read_secret
from tomoni.service import HttpSettings
from tomoni.settings import SettingsError
from tomoni.tlog.cosignature import CosignatureVerifier
from tomoni.tlog.keys import NoteError
from tomoni.transport import Endpoint, tls_for
from tomoni.transport.subjects import node_inbox


class HubConnection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the hub is, and the node's transport key. `ca_file`: an authority other than the system's."""

    servers: Annotated[tuple[str, ...], Meta(min_length=1)]
    seed_file: Path
    ca_file: Path | None = None


class RelaySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of `tomoni registry relay`."""

    federation: str
    code: Code
    database: str
    """Connection string of the relay's own role: it reads schema `log` and writes receipts."""
    hub: HubConnection
    receipt_key: str
    """Verifier key of the federation's receipts, `<federation>/receipts` (type 0x04)."""
    lag_seconds: Annotated[float, Meta(gt=0)] = 300.0
    """How old what was published may become without a receipt before it is published again; doubled each time."""
    http: HttpSettings = HttpSettings(port=8401)
    """Where health and metrics are served."""


def receipt_verifier(settings: RelaySettings) -> CosignatureVerifier:
    """Return the verifier of receipts; raise SettingsError where the key is none of this federation's."""
    name = receipt_key_name(settings.federation)
    try:
        verifier = CosignatureVerifier.parse(settings.receipt_key)
    except NoteError as error:
        raise SettingsError("receipt_key is no verifier key of cosignatures (C2SP, type 0x04)") from error
    if verifier.name != name:
        raise SettingsError(f"receipt_key is of another name than {name}")
    return verifier


def hub_endpoint(settings: RelaySettings) -> Endpoint:
    """Return how to connect to the hub; raise SettingsError where key or address cannot be used."""
    file = settings.hub.seed_file
    try:
        seed = read_secret(file).decode("ascii").strip()
        nkey.public_nkey(seed)
    except SecretFileError as error:
        raise SettingsError(f"hub.seed_file: {error}") from error
    except ValueError as error:
        raise SettingsError(f"hub.seed_file {file} holds no nkey seed") from error
    return Endpoint(
        servers=settings.hub.servers,
        name=f"relay {settings.code}",
        seed=seed,
        inbox=node_inbox(settings.code),
        tls=tls_for(settings.hub.servers, settings.hub.ca_file),
    )
