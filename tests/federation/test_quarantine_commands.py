"""The commands around a quarantine, as an operator and an auditor call them."""

import asyncio
import json
import stat

import pytest

from tests.federation.quarantines import CODE, asking, caught, convinced, named, renewed
from tests.federation.towns import FEDERATION
from tomoni.events.canonical import encode
from tomoni_cli.audit import app as audit
from tomoni_cli.federation import app as federation_commands

SETTINGS = """\
federation = "{federation}"
folder = "."
database = "{database}"
tokens = {{ issuer = "https://issuer.example", audience = "federation", key = "tokens.jwk" }}
hub = {{ servers = ["nats://127.0.0.1:1"], seed_file = "seed" }}
"""


@pytest.fixture
async def split(desk):
    return await caught(desk)


@pytest.fixture
def settings(desk, tmp_path):
    path = tmp_path / "federation.toml"
    path.write_text(SETTINGS.format(federation=FEDERATION, database=desk.federation.runner_dsn))
    path.chmod(0o600)
    return path


async def run(app, *arguments):
    """Run a command in a thread, as it has a loop of its own; return its exit status."""

    def call():
        try:
            app([str(one) for one in arguments])
        except SystemExit as ended:
            return ended.code or 0
        return 0

    return await asyncio.to_thread(call)


async def test_the_evidence_is_written_for_its_owner_alone_and_convinces_an_auditor(
    desk,
    split,
    settings,
    tmp_path,
    capsys,
):
    town, _ = split
    out = tmp_path / "evidence"
    assert await run(federation_commands, "evidence", CODE, "--config", settings, "--out", out) == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert await run(federation_commands, "evidence", CODE, "--config", settings) == 0
    assert capsys.readouterr().out.encode() == out.read_bytes()
    assert await run(federation_commands, "evidence", CODE, "--config", settings, "--list", "--json") == 0
    [listed] = json.loads(capsys.readouterr().out)
    assert (listed["kind"], listed["hash"]) == ("fork", convinced(out.read_bytes(), town).evidence)

    assert await run(audit, "verify-evidence", out, "--key", town.log_key.vkey) == 0
    told = capsys.readouterr().out
    assert "It proves: The key has signed a checkpoint of size 4, and one of size 5" in told
    assert "It does not prove: Which of the two" in told
    assert await run(audit, "verify-evidence", out, "--key", town.log_key.vkey, "--json") == 0
    assert json.loads(capsys.readouterr().out)["evidence"]["sizes"] == [4, 5]
    out.write_bytes(out.read_bytes().replace(b"root ", b"root A", 1))
    assert await run(audit, "verify-evidence", out, "--key", town.log_key.vkey) == 1
    assert "this does not convince: line 3: " in capsys.readouterr().err
    assert await run(audit, "verify-evidence", out, "--key", town.log_key.vkey, "--json") == 1
    assert json.loads(capsys.readouterr().out)["first_line"] == 3


async def test_evidence_that_is_not_there_and_one_that_would_not_convince_are_not_written(
    desk,
    split,
    settings,
    tmp_path,
    capsys,
):
    out = tmp_path / "evidence"
    for arguments in (["131121"], [CODE, "--hash", "ab" * 32]):
        assert await run(federation_commands, "evidence", *arguments, "--config", settings, "--out", out) == 1
        assert "no such evidence is kept" in capsys.readouterr().err
    await desk.federation.as_owner("UPDATE mirror.evidence SET document = document || 'x'")
    assert await run(federation_commands, "evidence", CODE, "--config", settings, "--out", out) == 1
    assert "nothing was written: line " in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir() if "evidence" in one.name] == []


async def test_the_secretariat_readmits_the_branch_that_counts_by_a_command(desk, split, settings, tmp_path, capsys):
    town, other = split
    back = renewed(other)
    request = tmp_path / "admission-request.json"
    request.write_bytes(encode(asking(back)))
    branch = named(other)
    wanted = ["--config", settings, "--branch-size", branch["size"], "--branch-root", branch["root"]]
    assert await run(federation_commands, "readmit", request, *wanted) == 1
    assert "from_size" in capsys.readouterr().err
    assert await run(federation_commands, "readmit", request, *wanted, "--from-size", 2) == 0
    assert f"{CODE} goes on with {back.log_key.vkey}" in capsys.readouterr().out
    await desk.hear(back)
    assert await desk.federation.mirrored(town) == other.entries
