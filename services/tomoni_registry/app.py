# pyright: reportUnknownVariableType=false
# The framework's types of handlers are open.
"""The node's application, and the one place where its parts are put together."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Final

import asyncpg
import structlog
from litestar import Litestar

from tomoni import times
from tomoni.auth import TokenVerifier, bearer_middleware, requires
from tomoni.database import Pool
from tomoni.eventlog import EventReader, Sequencer, log_routes
from tomoni.eventlog.connections import BROKEN
from tomoni.headers import close_answer
from tomoni.health import health_routes
from tomoni.request import PlainRequest
from tomoni.secret_files import SecretFileError
from tomoni.service import AccessDescription, describe, exception_handlers, open_pool, open_token_verifier
from tomoni.settings import SettingsError
from tomoni.times import day_in_japan
from tomoni_registry.arrangements.api import arrangement_routes
from tomoni_registry.certificates.api import certificate_routes
from tomoni_registry.desk import Desk
from tomoni_registry.interface import MAX_BODY_BYTES, Town
from tomoni_registry.keys.api import key_routes
from tomoni_registry.networks.api import network_routes
from tomoni_registry.schemes.api import scheme_routes
from tomoni_registry.settings import RegistrySettings, load_rules
from tomoni_registry.signing import Signing
from tomoni_registry.vault.answers import Answers
from tomoni_registry.vault.generations import erase_again, settle
from tomoni_registry.vault.keyring import Keyring
from tomoni_registry.vault.rotation import destroy_retired
from tomoni_registry.vault.sealing import SealError, load_key
from tomoni_registry.vault.store import Vault

FORGET_EVERY_SECONDS: Final = 600.0
KEEP_VAULT_EVERY_SECONDS: Final = 86_400.0
KEEP_VAULT_AGAIN_SECONDS: Final = 60.0
"""After a failure: what a backup has brought back must not lie there for a day."""

log = structlog.get_logger()


def create_app(town: Town, verifier: TokenVerifier, pool: Pool, signing: Signing) -> Litestar:
    """Return the application of a town's node."""

    async def require_write() -> None:
        """Write a row: reading may work on a disk that is full or a server that is a replica."""
        await pool.execute(
            "INSERT INTO registry.pulse (at) VALUES (now()) ON CONFLICT (only_row) DO UPDATE SET at = excluded.at"
        )

    slices = [routes(town) for routes in (certificate_routes, scheme_routes, arrangement_routes, network_routes)]
    return Litestar(
        route_handlers=[
            *slices,
            key_routes(town, signing.keys),
            *log_routes(pool, requires("auditor", "witness")),
            *health_routes({"write": require_write, "proof": signing.require_proof}),
        ],
        middleware=[bearer_middleware(verifier)],
        before_send=[close_answer],
        plugins=[AccessDescription()],
        exception_handlers=exception_handlers,
        openapi_config=describe(
            f"Tomoni registry node {town.code}",
            "Commands and readings of one town's register of partnership certificates.",
        ),
        request_max_body_size=MAX_BODY_BYTES,
        request_class=PlainRequest,
        logging_config=None,
    )


@asynccontextmanager
async def open_registry(
    settings: RegistrySettings, clock: Callable[[], datetime] = times.now
) -> AsyncGenerator[Litestar, None]:
    """Put the node together and give its application, its log signed and followed.

    Raises SettingsError where a file or the database is wrong, and SigningRefused where the log must not go on.
    """
    rules = load_rules(settings)
    async with AsyncExitStack() as stack:
        pool = await open_pool(settings.database)
        stack.push_async_callback(pool.close)
        try:
            keyring = Keyring(settings.files.keys)
            answers = Answers(pool, keyring, load_key(settings.files.mac_key))
            verifier = open_token_verifier(settings.tokens, settings.folder)
            signing = Signing(settings, pool, clock)
            await signing.start()
            if lost := await settle(pool, keyring):
                log.warning("vault_restored_without_its_keys", count=lost)
        except SecretFileError as error:
            raise SettingsError(str(error)) from error
        desk = Desk(
            origin=settings.origin,
            pool=pool,
            sequencer=await stack.enter_async_context(Sequencer(pool)),
            reader=EventReader(pool),
            vault=Vault(pool, keyring),
            answers=answers,
            clock=clock,
        )
        upkeep = _keep_vault(pool, keyring, settings.vault.retired_key_days, clock)
        async with running(_forget_answers(answers), upkeep, signing.run(), signing.beat()):
            yield create_app(Town(code=settings.code, rules=rules, desk=desk), verifier, pool, signing)


@asynccontextmanager
async def running(*loops: Coroutine[None, None, None]) -> AsyncGenerator[None, None]:
    """Run loops beside the body and end them with it; one that fails ends the body: better no node than half a one."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(loop) for loop in loops]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _forget_answers(answers: Answers) -> None:
    while True:
        try:
            await answers.forget_expired()
        except (*BROKEN, asyncpg.PostgresError) as error:
            log.warning("answers_not_forgotten", error=type(error).__name__)
        await asyncio.sleep(FORGET_EVERY_SECONDS)


async def _keep_vault(pool: Pool, keyring: Keyring, retired_key_days: int, clock: Callable[[], datetime]) -> None:
    """Destroy what was erased before a backup brought it back, and the keys that were retired long enough ago."""
    while True:
        try:
            await erase_again(pool)
            destroyed = await destroy_retired(pool, keyring, day_in_japan(clock()), retired_key_days)
        except (*BROKEN, asyncpg.PostgresError, SealError, SecretFileError) as error:
            log.error("vault_not_kept", error=type(error).__name__)
            await asyncio.sleep(KEEP_VAULT_AGAIN_SECONDS)
        else:
            log.info("vault_kept", count=len(destroyed))
            await asyncio.sleep(KEEP_VAULT_EVERY_SECONDS)
