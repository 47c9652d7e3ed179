"""Changing an entry in the federation's mirror behind its back, as somebody with the whole database could."""

from collections.abc import Generator
from contextlib import contextmanager

from tomoni_cli.demo.system import System
from tomoni_cli.demo.towns import Town


@contextmanager
def changed_mirror_entry(system: System, town: Town) -> Generator[None]:
    """Change the first mirrored entry of a town while in the context, past every trigger, as a superuser."""
    where = f"log = '{town.code}' AND position = 0"
    change = "SET data = set_byte(data, 40, get_byte(data, 40) # 1)"
    _as_superuser(system, f"UPDATE mirror.entry {change} WHERE {where}")  # our own codes
    try:
        yield
    finally:
        _as_superuser(system, f"UPDATE mirror.entry {change} WHERE {where}")


def _as_superuser(system: System, sql: str) -> None:
    """Run a statement with the table's triggers off; PostgreSQL lets only the owner and superusers do that."""
    system.run_sql(
        "federation",
        f"BEGIN; ALTER TABLE mirror.entry DISABLE TRIGGER ALL; {sql}; "
        "ALTER TABLE mirror.entry ENABLE TRIGGER ALL; COMMIT",
    )
