"""Settings: one TOML file, overridden by the environment, refused with a clear text when wrong."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar, cast

import msgspec

from tomoni.secret_files import SecretFileError, read_secret

S = TypeVar("S", bound=msgspec.Struct)

Tree = dict[str, object]


class SettingsError(ValueError):
    """The settings are wrong; the text says where and what is expected."""


def load(
    cls: type[S],
    path: Path | None,
    prefix: str = "TOMONI",
    environment: Mapping[str, str] | None = None,
    *,
    private: bool = False,
) -> S:
    """Return the settings of a Struct from a TOML file and `PREFIX_SECTION__KEY` variables, which prevail.

    `private`: the file holds a password, and is refused where others could read it. Raises SettingsError there, and
    where the file cannot be read, a key is unknown or a value has another type. A value from
    the environment is read as TOML where it can be (numbers, lists, true) and as a plain string otherwise. A variable
    that names no section and no setting is somebody else's (`TOMONI_OWNER_DATABASE`) and is passed over.
    """
    tree = _read(path, private) if path else {}
    plain = {prefix + "_" + field.encode_name.upper() for field in msgspec.structs.fields(cls)}
    for name, value in sorted((os.environ if environment is None else environment).items()):
        if name in plain or (name.startswith(prefix + "_") and "__" in name):
            _set(tree, [part.lower() for part in name[len(prefix) + 1 :].split("__")], value, name)
    try:
        return msgspec.convert(tree, cls, strict=True, dec_hook=_decode)
    except msgspec.ValidationError as error:
        where = f"{path.name} or the environment" if path else "the environment"
        raise SettingsError(f"the settings are wrong: {error} (in {where})") from error


def _decode(cls: type, value: object) -> object:
    if issubclass(cls, Path) and isinstance(value, str):
        return Path(value)
    raise TypeError(f"Expected `{cls.__name__}`")


def _read(path: Path, private: bool) -> Tree:
    try:
        data = read_secret(path) if private else path.read_bytes()
        return tomllib.loads(data.decode("utf-8"))
    except SecretFileError as error:
        raise SettingsError(f"the settings file {error}") from error
    except OSError as error:
        raise SettingsError(f"the settings file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"the settings file {path} is not TOML: {error}") from error


def _set(tree: Tree, keys: list[str], value: str, name: str) -> None:
    *sections, last = keys
    for section in sections:
        inner = tree.setdefault(section, {})
        if not isinstance(inner, dict):
            raise SettingsError(f"the variable {name} names a section that is a plain setting")
        tree = cast("Tree", inner)
    tree[last] = _toml_value(value)


def _toml_value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
