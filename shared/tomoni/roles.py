"""Databases and roles of a service, made by the owner: the running role has a password of its own and few rights."""

import base64
import hashlib
import hmac
import secrets
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from tomoni.addresses import require_private_database
from tomoni.settings import SettingsError

_SCRAM_ITERATIONS = 4_096
"""As PostgreSQL itself; the passwords are random, so that more would slow down nobody who guesses."""


async def create_database(owner_dsn: str) -> None:
    """Create the database of a connection string where there is none yet; raise SettingsError where that fails."""
    require_private_database(owner_dsn)
    try:
        await (await asyncpg.connect(owner_dsn)).close()
    except asyncpg.InvalidCatalogNameError:
        name = urlsplit(owner_dsn).path.lstrip("/")
        connection = await asyncpg.connect(owner_dsn, database="postgres")
        try:
            await connection.execute(f"CREATE DATABASE {_quoted(name)} TEMPLATE template0 ENCODING 'UTF8'")
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError) as error:
        raise SettingsError(
            f"the database cannot be reached: {type(error).__name__}; check its connection string"
        ) from error


async def create_role(owner_dsn: str, suffix: str) -> str:
    """Make a role that may log in, with a new password, and return its connection string.

    Raises SettingsError where the owner may not make roles: a database administrator then makes it.
    """
    connection = await asyncpg.connect(owner_dsn)
    try:
        database = await connection.fetchval("SELECT current_database()")
        role, password = f"{database}_{suffix}", secrets.token_urlsafe(24)
        known = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role)
        verifier = _scram_verifier(password)
        await connection.execute(f"{'ALTER' if known else 'CREATE'} ROLE {_quoted(role)} LOGIN PASSWORD '{verifier}'")
        await connection.execute(f"GRANT CONNECT ON DATABASE {_quoted(database)} TO {_quoted(role)}")
    except asyncpg.InsufficientPrivilegeError as error:
        raise SettingsError(
            "the owner may not make roles: let an administrator make them, and name them by the -database options"
        ) from error
    finally:
        await connection.close()
    parts = urlsplit(owner_dsn)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(role, safe='')}:{quote(password, safe='')}@{place}"))


def _scram_verifier(password: str) -> str:
    """Return what PostgreSQL keeps of an ASCII password (RFC 5803), made here as psql makes it.

    The statement may stand in the server's log and in `pg_stat_statements`, the password itself never.
    """
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _SCRAM_ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt_text, stored_text, server_text = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${_SCRAM_ITERATIONS}:{salt_text}${stored_text}:{server_text}"


def user_of(dsn: str) -> str:
    """Return the user of a connection string; raise SettingsError where it names none."""
    user = urlsplit(dsn).username
    if not user:
        raise SettingsError("a connection string names no user: write postgresql://user:password@host/database")
    return user


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
