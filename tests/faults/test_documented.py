"""The table of faults for people is that of the tests."""

import re
from pathlib import Path

from tests.faults import at_node, between, test_fault_table

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "faults.md").read_text()


def test_every_test_named_among_the_faults_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", TEXT)
    assert len(named) > 20
    for file, name in named:
        assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE), (file, name)


def test_every_operation_under_fault_is_among_the_faults() -> None:
    operations = {
        one.__name__
        for module in (at_node, between)
        for one in vars(module).values()
        if isinstance(one, type) and hasattr(one, "prepare") and one.__module__ == module.__name__
    }
    assert operations == set(re.findall(r"^\| `(\w+)`", TEXT, re.MULTILINE))
    tests = {name for name in vars(test_fault_table) if name.startswith("test_")}
    assert tests == set(re.findall(r"\| `(test_\w+)` \|", TEXT))
