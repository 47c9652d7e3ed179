"""Roles of the running services: made by the owner, with passwords that nobody else gets to know."""

from urllib.parse import unquote, urlsplit

import asyncpg

from tomoni.roles import create_role
from tomoni_cli.embedded.postgres import EmbeddedDatabase, EmbeddedPostgres


async def test_the_servers_log_does_not_hold_a_roles_password(
    postgres: EmbeddedPostgres, database: EmbeddedDatabase
) -> None:
    """Servers that log what changes the schema are common, and what they logged is kept for long."""
    postgres.run_sql(f"ALTER DATABASE \"{database.name}\" SET log_statement = 'ddl'")
    made = await create_role(postgres.dsn(database.name), "node")
    role, password = urlsplit(made).username, unquote(urlsplit(made).password or "")
    try:
        connection = await asyncpg.connect(made)
        await connection.close()
        log = (postgres.folder / "log").read_text()
        assert f'CREATE ROLE "{role}"' in log
        assert password not in log
    finally:
        postgres.run_sql(f'REVOKE CONNECT ON DATABASE "{database.name}" FROM "{role}"; DROP ROLE "{role}"')
