"""Settings: one file, the environment prevails, and what is wrong is told clearly."""

from pathlib import Path

import msgspec
import pytest

from tomoni.settings import SettingsError, load


class Http(msgspec.Struct, forbid_unknown_fields=True):
    port: int
    host: str = "127.0.0.1"


class Example(msgspec.Struct, forbid_unknown_fields=True):
    http: Http
    folder: Path = Path()
    names: list[str] = []


def _write(folder: Path, text: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(text, "utf-8")
    return path


def test_a_file_is_read_and_the_environment_prevails(tmp_path: Path) -> None:
    path = _write(tmp_path, 'folder = "state"\n[http]\nport = 8000\n')
    environment = {"TOMONI_HTTP__PORT": "9000", "TOMONI_HTTP__HOST": "::1", "TOMONI_NAMES": '["a"]', "OTHER": "x"}
    settings = load(Example, path, environment=environment)
    assert settings == Example(http=Http(port=9000, host="::1"), folder=Path("state"), names=["a"])


def test_a_variable_that_names_no_setting_is_somebody_elses() -> None:
    environment = {"TOMONI_HTTP__PORT": "1", "TOMONI_OWNER_DATABASE": "postgresql://x", "TOMONI_FOLDER": "state"}
    assert load(Example, None, environment=environment).folder == Path("state")


def test_the_environment_alone_is_enough() -> None:
    assert load(Example, None, environment={"TOMONI_HTTP__PORT": "1"}).http.port == 1


@pytest.mark.parametrize(
    ("text", "environment", "told"),
    [
        ("[http]\nport = 'x'", {}, "http.port"),
        ("[http]\nport = 1\nprot = 2", {}, "prot"),
        ("[http]", {}, "port"),
        ("folder = 3\n[http]\nport = 1", {}, "folder"),
        ("= 3", {}, "not TOML"),
        ("[http]\nport = 1", {"TOMONI_HTPP__PORT": "2"}, "htpp"),
        ("[http]\nport = 1", {"TOMONI_HTTP__PROT": "2"}, "prot"),
        ("http = 3", {"TOMONI_HTTP__PORT": "1"}, "TOMONI_HTTP__PORT"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, environment: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        load(Example, _write(tmp_path, text), environment=environment)


def test_a_file_with_a_password_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = _write(tmp_path, "[http]\nport = 1")
    file.chmod(0o640)
    with pytest.raises(SettingsError, match="readable by others"):
        load(Example, file, private=True)
    file.chmod(0o600)
    load(Example, file, private=True)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load(Example, tmp_path / "none.toml")
