"""Backups of a node under test: its database as it was, and the last word when the whole machine goes back."""

from urllib.parse import urlsplit

from tests.registry.conftest import Node
from tomoni_cli.embedded.postgres import EmbeddedPostgres


class Backup:
    """A copy of a stopped node's database and of its last word."""

    def __init__(self, postgres: EmbeddedPostgres, node: Node) -> None:
        self._postgres = postgres
        self._node = node
        self._name = urlsplit(node.owner_dsn).path.removeprefix("/")
        self._word = node.files.last_word.read_bytes()
        self._copy(self._name, f"{self._name}_backup")

    def restore_database(self) -> None:
        """Bring back the database alone, as an operator does who was told to leave the last word where it is."""
        self._copy(f"{self._name}_backup", self._name)

    def restore_machine(self) -> None:
        """Bring back database and last word, as of a cloned machine, which has nothing that contradicts it."""
        self.restore_database()
        self._node.files.last_word.write_bytes(self._word)

    def drop(self) -> None:
        """Drop the copy."""
        self._postgres.run_sql(f'DROP DATABASE "{self._name}_backup" WITH (FORCE)')

    def _copy(self, source: str, target: str) -> None:
        owner = urlsplit(self._node.owner_dsn).username
        self._postgres.run_sql(f'DROP DATABASE IF EXISTS "{target}" WITH (FORCE)')
        self._postgres.run_sql(f'CREATE DATABASE "{target}" OWNER "{owner}" TEMPLATE "{source}"')
