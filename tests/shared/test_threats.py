"""docs/threats.md names only what is there: modules, documents and tests."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threats.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`((?:shared|services|tests|deploy)/[^`]+|decisions/[^`]+\.md)`", PAGE)))
ROWS = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| threat |")]


@pytest.mark.parametrize("name", NAMED)
def test_what_the_page_names_is_there(name: str) -> None:
    path, _, test = name.partition("::")
    file = ROOT / ("docs" if path.startswith("decisions/") else "") / path
    assert file.is_file()
    if test:
        assert re.search(rf"^ *(?:async )?def {re.escape(test)}\(", file.read_text("utf-8"), re.MULTILINE)


def test_every_threat_has_a_control_a_place_a_default_and_a_test() -> None:
    assert len(ROWS) > 50
    for row in ROWS:
        assert len(row) == 5, row
        _, _, where, _, tests = row
        assert re.search(r"`(?:shared|services|deploy)/", where), row
        assert "`tests/" in tests, row


@pytest.mark.parametrize(("file", "least"), [("requirements.txt", 20), ("build-requirements.txt", 5)])
def test_every_dependency_is_pinned_by_hash(file: str, least: int) -> None:
    text = (ROOT / "deploy" / file).read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(lines) >= least
    assert all(re.match(r"[a-z0-9.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line) for line in lines)
