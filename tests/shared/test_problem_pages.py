"""Each kind of problem has a page of its own that says what it is called here and what to do."""

import pkgutil
from importlib import import_module
from pathlib import Path

import tomoni_federation
import tomoni_registry
from tomoni.problems import BASE, KINDS

FOLDER = Path(__file__).parents[2] / "docs" / "problems"

for service in (tomoni_federation, tomoni_registry):
    for module in pkgutil.walk_packages(service.__path__, f"{service.__name__}."):
        import_module(module.name)  # each registers its kinds


def test_every_kind_has_a_page_and_every_page_a_kind():
    assert {page.stem for page in FOLDER.glob("*.md")} == set(KINDS)


def test_a_page_says_title_status_and_what_to_do():
    for name, kind in KINDS.items():
        page = (FOLDER / f"{name}.md").read_text("utf-8")
        assert page.startswith(f"# {kind.title}\n\n`{BASE}{name}`, HTTP status {kind.status}\n")
        assert "**What happened.**" in page
        assert "**What to do.**" in page
