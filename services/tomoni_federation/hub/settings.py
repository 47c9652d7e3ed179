"""The hub's settings, and making them for a new hub."""

import re
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tomoni import nkey
from tomoni.addresses import is_private_url, is_this_machine
from tomoni.secret_files import SecretFileError, read_secret
from tomoni.service import HttpSettings, refuse_open_http
from tomoni.settings import SettingsError
from tomoni.tlog.keys import NoteError
from tomoni.tlog.note import Verifier

SERVERS: Final = 3
"""Of a cluster, and copies of each stream: one may be lost, and a majority still agrees."""
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{32,200}")


class NatsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The nats-server: where it listens (port 0: picked once and kept) and how much it stores."""

    host: str = "127.0.0.1"
    port: int = 0
    certificate: Path | None = None
    key: Path | None = None
    max_bytes: int = 2_000_000_000
    messages_per_jurisdiction: int = 200_000
    binary: Path | None = None
    binary_sha256: str | None = None


class ClusterSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A server among the three that hold the streams together (docs/decisions/0058).

    `server`: a name of its own. `routes`: the three servers' addresses, `host:port`, this one's too; the same on each
    host, like `secret_file`. `authority` has signed the certificates of all three, and nobody else's.
    """

    server: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._-]{1,64}\Z")]
    host: str = "127.0.0.1"
    port: int
    routes: tuple[Annotated[str, Meta(pattern=r"\A([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}\Z")], ...]
    secret_file: Path
    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None


class KeySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Public nkeys of those who connect, and the provisioner's seed, which makes the streams."""

    system: str
    federation: str
    provisioner_seed_file: Path


class LogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The federation's own log, and the token to read it with (scope auditor or witness)."""

    url: str
    verifier_key: str
    token_file: Path | None = None
    every_seconds: float = 2.0


class HubSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of `tomoni hub`."""

    federation: str
    folder: Path
    keys: KeySettings
    log: LogSettings
    nats: NatsSettings = NatsSettings()
    cluster: ClusterSettings | None = None
    """None: one server, which keeps one copy of each stream."""
    http: HttpSettings = HttpSettings(port=8490)
    """Where health and metrics are served."""


def check(settings: HubSettings) -> HubSettings:
    """Return the settings; raise SettingsError where they cannot work or would not be safe."""
    nats, keys = settings.nats, settings.keys
    refuse_open_http(settings.http)
    if (nats.certificate is None) != (nats.key is None):
        raise SettingsError("nats.certificate and nats.key belong together: give both or neither")
    if nats.certificate is None and not is_this_machine(nats.host):
        raise SettingsError("nats.host is reachable from outside: give nats.certificate and nats.key (TLS 1.3)")
    if not is_private_url(settings.log.url):
        raise SettingsError("log.url: name the federation by https://: a token travels there (http:// on this machine)")
    if settings.cluster is not None:
        _check_cluster(settings.cluster)
    for name, key in (("system", keys.system), ("federation", keys.federation)):
        try:
            nkey.public_key_bytes(key)
        except nkey.NkeyError as error:
            raise SettingsError(f"keys.{name} is no public user nkey: {error}") from error
    if len({keys.system, keys.federation, nkey.public_nkey(provisioner_seed(settings))}) != 3:
        raise SettingsError("system, federation and provisioner need three different nkeys")
    federation_verifier(settings)
    return settings


def _check_cluster(cluster: ClusterSettings) -> None:
    if len(set(cluster.routes)) != SERVERS or len(cluster.routes) != SERVERS:
        raise SettingsError(f"cluster.routes names all {SERVERS} servers, this one too, each once")
    certificates = (cluster.certificate, cluster.key, cluster.authority)
    if None in certificates:
        if any(certificates):
            raise SettingsError("cluster.certificate, cluster.key and cluster.authority belong together")
        if not all(
            map(is_this_machine, (cluster.host, *(route.rpartition(":")[0].strip("[]") for route in cluster.routes)))
        ):
            raise SettingsError(
                "the routes are reachable from outside: give cluster.certificate, cluster.key and cluster.authority"
            )
    route_secret(cluster)


def route_secret(cluster: ClusterSettings) -> str:
    """Return what the servers show each other; raise SettingsError where its file cannot be read or holds none."""
    file = cluster.secret_file
    try:
        secret = read_secret(file).decode("ascii").strip()
    except SecretFileError as error:
        raise SettingsError(f"cluster.secret_file: {error}") from error
    except ValueError as error:
        raise SettingsError(f"cluster.secret_file {file} holds no secret") from error
    if not _SECRET.fullmatch(secret):
        raise SettingsError(f"cluster.secret_file {file} holds no secret (32 characters or more, letters and digits)")
    return secret


def provisioner_seed(settings: HubSettings) -> str:
    """Return the provisioner's seed; raise SettingsError where its file cannot be read or holds none."""
    file = settings.keys.provisioner_seed_file
    try:
        seed = read_secret(file).decode("ascii").strip()
        nkey.public_nkey(seed)
    except SecretFileError as error:
        raise SettingsError(f"keys.provisioner_seed_file: {error}") from error
    except ValueError as error:
        raise SettingsError(f"keys.provisioner_seed_file {file} holds no nkey seed") from error
    return seed


def federation_verifier(settings: HubSettings) -> Verifier:
    """Return the verifier of the federation's log; raise SettingsError where the text is none of this federation."""
    origin = f"{settings.federation}/federation"
    try:
        verifier = Verifier.parse(settings.log.verifier_key)
    except NoteError as error:
        raise SettingsError("log.verifier_key is no verifier key (C2SP signed-note)") from error
    if verifier.name != origin:
        raise SettingsError(f"log.verifier_key is of another log than {origin}")
    return verifier
