"""Making a new hub: its nkeys and its settings file."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from tomoni import nkey
from tomoni.processes import free_port
from tomoni.settings import SettingsError
from tomoni_federation.hub.files import write_atomically

SETTINGS_FILE = "hub.toml"
KEY_NAMES = ("system", "provisioner", "federation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which of the three servers of a cluster a new hub is."""

    server: str
    """Name of this server, unlike the others'."""
    routes: tuple[str, ...]
    """Where the servers reach each other, host:port, all three: this one's too."""
    host: str = "127.0.0.1"
    """Address to listen on for the other servers."""
    port: int = 6222
    """Port for the other servers."""
    secret_file: Path | None = None
    """Secret of the routes, copied from the hub that was made first; that one makes it."""


def initialise_hub(
    folder: Path,
    *,
    federation: str,
    log_url: str,
    verifier_key: str,
    host: str = "127.0.0.1",
    port: int = 0,
    http_port: int = 8490,
    token_file: Path | None = None,
    federation_key: str | None = None,
    place: Place | None = None,
) -> Path:
    """Write `hub.toml` and `keys/<name>.nk` (system, provisioner, federation) and return the settings file.

    Port 0 takes one that is free now and writes it down. `federation_key` is the public nkey of a federation that has
    made its own; without it one is made here, and `keys/federation.nk` goes to the federation's service.
    `keys/system.nk` goes offline. With a `place` the hub is one of three, and needs the `federation_key` that the other
    two have. Raises SettingsError where it has none, or where a hub is there already: its keys are known to others and
    must not be replaced in silence.
    """
    settings = folder / SETTINGS_FILE
    if settings.exists():
        raise SettingsError(f"there is a hub in {folder} already")
    if place is not None and federation_key is None:
        raise SettingsError("the three hubs of a cluster let the same federation in: give its public nkey")
    seeds = {name: nkey.generate_seed() for name in KEY_NAMES if name != "federation" or federation_key is None}
    federation_nkey = federation_key or nkey.public_nkey(seeds["federation"])
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, seed in seeds.items():
        write_atomically(key_file(folder, name), seed.encode() + b"\n")
    token = "" if token_file is None else f"token_file = '{token_file.absolute()}'\n"
    text = f"""\
federation = "{federation}"
folder = '{folder / "state"}'

[keys]
system = "{nkey.public_nkey(seeds["system"])}"
federation = "{federation_nkey}"
provisioner_seed_file = '{key_file(folder, "provisioner")}'

[log]
url = "{log_url}"
verifier_key = "{verifier_key}"
{token}
[nats]
host = "{host}"
port = {port or free_port()}

[http]
host = "127.0.0.1"
port = {http_port}
"""
    if place is not None:
        text += _cluster_section(folder, place)
    write_atomically(settings, text.encode())
    return settings


def _cluster_section(folder: Path, place: Place) -> str:
    """Return the settings of a place, and make the secret where there is none yet."""
    file = place.secret_file
    if file is None:
        file = folder / "keys" / "routes.secret"
        write_atomically(file, secrets.token_urlsafe(32).encode() + b"\n")
    return f"""
[cluster]
server = "{place.server}"
host = "{place.host}"
port = {place.port}
routes = [{", ".join(f'"{route}"' for route in place.routes)}]
secret_file = '{file.absolute()}'
"""


def key_file(folder: Path, name: str) -> Path:
    """Return where the seed of a name lies in a hub's folder."""
    return folder / "keys" / f"{name}.nk"
