# pyright: reportUnknownMemberType=false, reportPrivateUsage=false
# The framework's request is open in its types, and keeps its body where a subclass has to look.
"""The request of our services: the framework's, with a body that is read straight from the server."""

import math
from typing import Any

from litestar import Request
from litestar.exceptions import InternalServerException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.types import Empty


class PlainRequest(Request[Any, Any, Any]):
    """A request, for `Litestar(request_class=…)`.

    The framework makes an object of all headers for the length that was announced, and passes the parts of a body
    through two generators: an eighth of what it takes to answer for the status of one document.
    """

    async def body(self) -> bytes:
        """Return the body; raise RequestEntityTooLarge as soon as more than the route's limit has come."""
        if self._body is Empty:
            kept = self._connection_state.body
            self._body = self._connection_state.body = await self._receive_all() if kept is Empty else kept
        return self._body

    async def _receive_all(self) -> bytes:
        most = self.route_handler.resolve_request_max_body_size() or math.inf
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await self.receive()
            if message["type"] != "http.request":
                raise InternalServerException("the client went away before it had sent everything")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > most:
                raise RequestEntityTooLarge
            more = message.get("more_body", False)
        self.is_connected = False
        return parts[0] if len(parts) == 1 else b"".join(parts)
