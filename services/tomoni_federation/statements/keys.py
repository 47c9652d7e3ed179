"""The keys of statements: a folder of them, the newest signs, all are published so that filed statements verify."""

import secrets
from pathlib import Path
from typing import Any

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from tomoni.secret_files import SecretFileError, read_secret, sync_folder, write_secret
from tomoni.settings import SettingsError
from tomoni.statements import StatementSigner, generate_key


def rotate(folder: Path) -> str:
    """Make the next key and return its name; of the keys before only the public halves stay.

    A running service goes on with the key it has read until it is started again. Raises SettingsError.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    before = _files(folder)
    number = int(before[-1].stem) + 1 if before else 1
    key = generate_key()
    write_secret(folder / f"{number:04}.jwk", msgspec.json.encode(key.as_dict(private=True)))
    for path in before:
        _retire(path)
    return key.kid or ""


def open_signer(federation: str, folder: Path) -> StatementSigner:
    """Return what signs statements; raise SettingsError where a key cannot be used or there is none."""
    keys = [_read(path) for path in _files(folder)]
    if not keys:
        raise SettingsError(f"{folder} has no key: make one with `tomoni federation rotate-statement-key`")
    try:
        return StatementSigner(federation, keys)
    except ValueError as error:
        raise SettingsError(f"{folder}: {error}; make one with `tomoni federation rotate-statement-key`") from error


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9][0-9][0-9][0-9].jwk"))


def _read(path: Path) -> OKPKey:
    try:
        return OKPKey.import_key(msgspec.json.decode(read_secret(path), type=dict[str, Any]))
    except (SecretFileError, JoseError, msgspec.MsgspecError, ValueError, KeyError, TypeError) as error:
        text = str(error) if isinstance(error, SecretFileError) else f"{path} is no key"
        raise SettingsError(f"keys: {text}") from None


def _retire(path: Path) -> None:
    """Leave only the public half of a key: nobody signs with it again, and nobody can steal it."""
    key = _read(path)
    if key.is_private:
        public = path.with_name(f".{path.name}.{secrets.token_hex(8)}.public")
        write_secret(public, msgspec.json.encode(key.as_dict(private=False)))
        public.replace(path)
        sync_folder(path.parent)
