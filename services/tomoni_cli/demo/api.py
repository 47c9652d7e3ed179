"""HTTP as the tour speaks it: a service's address and a token, commands with a new key each."""

import uuid
from typing import cast

import httpx
import msgspec

from tomoni.loopback import NOBODY

Body = dict[str, object]


class UnexpectedAnswer(Exception):  # noqa: N818  # named for what it is
    """A service answered otherwise than the tour expects; the text is its problem's."""


class Api:
    """One service with one token."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._client = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30, trust_env=False, verify=NOBODY
        )

    def command(self, path: str, body: object) -> Body:
        """Send a command and return its answer; raise UnexpectedAnswer where it is refused."""
        headers = {"Idempotency-Key": str(uuid.uuid4()), "Content-Type": "application/json"}
        return self._answer(self._client.post(path, content=msgspec.json.encode(body), headers=headers))

    def ask(self, path: str, body: object) -> Body:
        """Ask a question whose parts stand in the body."""
        headers = {"Content-Type": "application/json"}
        return self._answer(self._client.post(path, content=msgspec.json.encode(body), headers=headers))

    def get(self, path: str) -> Body:
        """Read."""
        return self._answer(self._client.get(path))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _answer(self, answer: httpx.Response) -> Body:
        if not answer.is_success:
            raise UnexpectedAnswer(
                f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text}"
            )
        return cast("Body", msgspec.json.decode(answer.content)) if answer.content else {}
