"""A federation answering over HTTP, for the tests of its answers."""

from functools import cached_property

import httpx

from tests.federation.towns import FEDERATION, NOW

AUDIENCE = f"{FEDERATION}/federation"


class Desk:
    """A federation answering over HTTP, with tokens of every scope."""

    def __init__(self, federation, issuer, office, watching, make_app):
        self.federation, self._issuer, self.office, self.watching = federation, issuer, office, watching
        self._make_app = make_app
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app=self._answer), base_url="http://federation")
        self.now = NOW
        """What the federation's clock says."""

    @cached_property
    def app(self):
        """Made at the first question: it takes longer than most tests, and many ask none."""
        return self._make_app()

    async def _answer(self, scope, receive, send):
        await self.app(scope, receive, send)

    def token(self, *scopes, subject="somebody", **bound):
        return self._issuer.issue(subject, scopes, AUDIENCE, **bound)

    async def post(self, path, body, *scopes, **bound):
        headers = {"Authorization": f"Bearer {self.token(*(scopes or ('verifier',)), **bound)}"}
        return await self.client.post(path, json=body, headers=headers)

    async def get(self, path, *scopes, **bound):
        return await self.client.get(path, headers={"Authorization": f"Bearer {self.token(*scopes, **bound)}"})

    async def status(self, town, handle, *scopes, purpose="counter", **bound):
        body = {"issuer": town.code, "handle": handle, "purpose": purpose}
        return (await self.post("/v1/status", body, *scopes, **bound)).json()

    async def recognition(self, town, handle, receiver, *scopes, service="public-housing", **fields):
        body = {
            "issuer": town.code,
            "handle": handle,
            "receiver": receiver.code,
            "service": service,
            "purpose": "counter",
        }
        return (await self.post("/v1/recognition", body | fields, *scopes)).json()

    async def hear(self, *towns, at=NOW):
        """Take everything the towns have, and a heartbeat of each."""
        for town in towns:
            await self.federation.take(*town.messages())
        await self.federation.take(heartbeats=[town.heartbeat(at) for town in towns])
