"""Databases for tests: a migrated one is copied, which is quicker than migrating anew for every test."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from tomoni_cli.embedded.postgres import EmbeddedDatabase, EmbeddedPostgres


@contextmanager
def created(postgres: EmbeddedPostgres) -> Iterator[EmbeddedDatabase]:
    """Give a fresh, empty database with two roles of its own."""
    name = _name()
    yield postgres.create_database(name)
    postgres.drop_database(name)


@contextmanager
def copied(postgres: EmbeddedPostgres, template: EmbeddedDatabase) -> Iterator[EmbeddedDatabase]:
    """Give a copy of a database nobody is connected to; it has the same roles, and what they were granted."""
    name = _name()
    postgres.run_sql(f'CREATE DATABASE "{name}" OWNER "{template.owner}" TEMPLATE "{template.name}"')
    yield EmbeddedDatabase(
        name=name,
        owner=template.owner,
        runner=template.runner,
        owner_dsn=postgres.dsn(name, template.owner),
        runner_dsn=postgres.dsn(name, template.runner),
    )
    postgres.run_sql(f'DROP DATABASE "{name}" WITH (FORCE)')


def _name() -> str:
    return f"t{uuid.uuid4().hex[:12]}"
