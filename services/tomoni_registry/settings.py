"""The settings of a town's node, made by `tomoni registry init`. The relay has a file of its own."""

from pathlib import Path
from typing import Annotated

import msgspec

from tomoni.addresses import require_private_database
from tomoni.jurisdictions import JurisdictionError, by_code
from tomoni.service import HttpSettings, LogSettings, Section, TokenSettings, refuse_open_http
from tomoni.settings import SettingsError, load
from tomoni_registry.schemes.rules import Rules, RulesError, parse_rules


class VaultSettings(Section, frozen=True, kw_only=True):
    """How long keys of the vault are kept that were replaced."""

    retired_key_days: Annotated[int, msgspec.Meta(ge=1)] = 30
    """Days after which a retired key is destroyed, and with it what backups of the database from before it opened."""


class RegistrySettings(Section, frozen=True, kw_only=True):
    """All settings of `tomoni registry serve`."""

    code: str
    federation: str
    folder: Path
    """Keys, rules and the last signed checkpoint; never in the database, never in its backup."""
    database: str
    """Connection string of the node's own role; the owner's is not kept."""
    tokens: TokenSettings
    http: HttpSettings = HttpSettings(port=8400)
    log: LogSettings = LogSettings()
    vault: VaultSettings = VaultSettings()

    @property
    def origin(self) -> str:
        """The name of the town's log."""
        return f"{self.federation}/{self.code}"

    @property
    def files(self) -> "Files":
        """Where the node's files lie."""
        return Files(self.folder)


class Files:
    """The files of a node's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = folder / "keys"
        self.settings = folder / "registry.toml"
        self.relay_settings = folder / "relay.toml"
        self.rules = folder / "rules.toml"
        self.admission = folder / "admission-request.json"
        self.transport_request = folder / "transport-key-request.json"
        self.last_word = folder / "last-checkpoint"
        self.heartbeat_key = self.keys / "heartbeat.key"
        self.transport_seed = self.keys / "transport.seed"
        self.next_transport_seed = self.keys / "transport.seed.next"
        self.mac_key = self.keys / "request-mac.key"
        self.token_key = self.keys / "tokens.jwk"

    def log_key(self, generation: int) -> Path:
        """Return the file of the log key of a generation, counted from 1; each rotation makes the next."""
        return self.keys / f"log-{generation}.key"


def load_settings(path: Path) -> RegistrySettings:
    """Return the settings of a file and the environment; raise SettingsError where they cannot work.

    A relative folder is meant from where the settings file lies.
    """
    settings = load(RegistrySettings, path, private=True)
    settings = msgspec.structs.replace(settings, folder=path.parent.absolute() / settings.folder)
    try:
        by_code(settings.code)
    except JurisdictionError as error:
        raise SettingsError(f"code is wrong: {error}") from error
    refuse_open_http(settings.http)
    require_private_database(settings.database)
    return settings


def load_rules(settings: RegistrySettings) -> Rules:
    """Return the town's rules; raise SettingsError where the file is wrong or another town's."""
    path = settings.files.rules
    try:
        rules = parse_rules(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"the rules {path} cannot be read: {error.strerror}") from error
    except RulesError as error:
        raise SettingsError(f"{error} (in {path})") from error
    if rules.code != settings.code:
        raise SettingsError(f"the rules {path} are those of {rules.code}, the node is {settings.code}: edit code there")
    return rules
