"""The settings of the federation's service, made by `tomoni federation init`."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import msgspec

from tomoni import nkey
from tomoni.addresses import require_private_database
from tomoni.key_names import heartbeat_key_name
from tomoni.secret_files import SecretFileError, read_secret
from tomoni.service import HttpSettings, LogSettings, Section, TokenSettings, refuse_open_http
from tomoni.settings import SettingsError, load
from tomoni.tlog.cosignature import Cosigner
from tomoni.tlog.keys import NoteError
from tomoni_federation.statistics.decision import LEAST_THRESHOLD

Seconds = Annotated[float, msgspec.Meta(gt=0)]


class HubSettings(Section, frozen=True, kw_only=True):
    """Where the hub is, and the seed of the federation's user there."""

    servers: tuple[str, ...]
    seed_file: Path
    ca_file: Path | None = None


class LimitSettings(Section, frozen=True, kw_only=True):
    """How much one client may ask."""

    lookups_per_minute: Annotated[int, msgspec.Meta(ge=1)] = 1_000
    """Also the largest batch that can be answered at all: a whole one of a thousand documents."""


class StatisticsSettings(Section, frozen=True, kw_only=True):
    """What may be shown of counts."""

    threshold: Annotated[int, msgspec.Meta(ge=LEAST_THRESHOLD)] = 10
    """Counts are shown in steps of it and smaller ones not at all; it stays once something was published."""


class WatchSettings(Section, frozen=True, kw_only=True):
    """How long a follower of a watch may be away and still get every change."""

    retention_days: Annotated[int, msgspec.Meta(ge=1)] = 90


class MirrorSettings(Section, frozen=True, kw_only=True):
    """How often everything that is proven is looked at again."""

    scrub_seconds: Seconds = 86_400.0
    """Seconds in which every entry of every log is read once and held against its signature."""


EMERGENCY = timedelta(days=7)
COUNTER = timedelta(hours=24)


class FederationSettings(Section, frozen=True, kw_only=True):
    """All settings of `tomoni federation serve`."""

    federation: str
    folder: Path
    """Keys and the last signed checkpoint; never in the database, never in its backup."""
    database: str
    """Connection string of the service's own role; the owner's is not kept."""
    tokens: TokenSettings
    hub: HubSettings
    http: HttpSettings = HttpSettings(port=8500)
    log: LogSettings = LogSettings()
    limits: LimitSettings = LimitSettings()
    statistics: StatisticsSettings = StatisticsSettings()
    watches: WatchSettings = WatchSettings()
    mirror: MirrorSettings = MirrorSettings()
    purposes: dict[str, Seconds] = msgspec.field(
        default_factory=lambda: {"emergency": EMERGENCY.total_seconds(), "counter": COUNTER.total_seconds()}
    )
    """Purpose → how many seconds old an answer for it may be."""

    @property
    def origin(self) -> str:
        """The name of the federation's own log."""
        return f"{self.federation}/federation"

    @property
    def files(self) -> "Files":
        """Where the service's files lie."""
        return Files(self.folder)


class Files:
    """The files of the federation's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = folder / "keys"
        self.settings = folder / "federation.toml"
        self.last_word = folder / "last-checkpoint"
        self.log_key = self.keys / "log-1.key"
        self.heartbeat_key = self.keys / "heartbeat.key"
        self.receipts_key = self.keys / "receipts.key"
        self.transport_seed = self.keys / "transport.seed"
        self.token_key = self.keys / "tokens.jwk"
        self.statement_keys = self.keys / "statements"


class Keys(msgspec.Struct, frozen=True):
    """The private keys of the service that its own log does not name, read once."""

    heartbeat: Cosigner
    seed: str

    def __repr__(self) -> str:
        """Show nothing."""
        return "Keys()"


def load_settings(path: Path) -> FederationSettings:
    """Return the settings of a file and the environment; raise SettingsError where they cannot work.

    Relative paths are meant from where the settings file lies.
    """
    settings = load(FederationSettings, path, private=True)
    base = path.parent.absolute()
    settings = msgspec.structs.replace(
        settings,
        folder=base / settings.folder,
        hub=msgspec.structs.replace(settings.hub, seed_file=base / settings.hub.seed_file),
    )
    if not settings.purposes:
        raise SettingsError("purposes is empty: name at least one, with the seconds an answer for it may be old")
    refuse_open_http(settings.http)
    require_private_database(settings.database)
    return settings


def load_keys(settings: FederationSettings) -> Keys:
    """Return the keys; raise SettingsError where a file is missing, readable by others or of another federation."""
    files = settings.files
    try:
        keys = Keys(
            Cosigner.parse(read_secret(files.heartbeat_key).decode().strip()),
            read_secret(settings.hub.seed_file).decode().strip(),
        )
        nkey.public_nkey(keys.seed)
    except (SecretFileError, NoteError, nkey.NkeyError, UnicodeDecodeError) as error:
        raise SettingsError(f"keys: {error}") from error
    if keys.heartbeat.name != heartbeat_key_name(settings.origin):
        raise SettingsError("the keys are of another federation than the settings name")
    return keys
