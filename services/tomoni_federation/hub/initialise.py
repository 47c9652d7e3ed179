"""Making a new hub: its nkeys and its settings file."""

from pathlib import Path

from tomoni import nkey
from tomoni.processes import free_port
from tomoni.settings import SettingsError
from tomoni_federation.hub.files import write_atomically

SETTINGS_FILE = "hub.toml"
KEY_NAMES = ("system", "provisioner", "federation")


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
) -> Path:
    """Write `hub.toml` and `keys/<name>.nk` (system, provisioner, federation) and return the settings file.

    Port 0 takes one that is free now and writes it down. `federation_key` is the public nkey of a federation that has
    made its own; without it one is made here, and `keys/federation.nk` goes to the federation's service.
    `keys/system.nk` goes offline. Raises SettingsError where a hub is there already: its keys are known to others and
    must not be replaced in silence.
    """
    settings = folder / SETTINGS_FILE
    if settings.exists():
        raise SettingsError(f"there is a hub in {folder} already")
    seeds = {name: nkey.generate_seed() for name in KEY_NAMES if name != "federation" or federation_key is None}
    federation_nkey = federation_key or nkey.public_nkey(seeds["federation"])
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, seed in seeds.items():
        write_atomically(key_file(folder, name), seed.encode() + b"\n")
    token = "" if token_file is None else f"token_file = '{token_file}'\n"
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
    write_atomically(settings, text.encode())
    return settings


def key_file(folder: Path, name: str) -> Path:
    """Return where the seed of a name lies in a hub's folder."""
    return folder / "keys" / f"{name}.nk"
