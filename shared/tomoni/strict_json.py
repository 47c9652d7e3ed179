# ruff: noqa: ANN401, ARG003
# pyright: reportUnknownMemberType=false, reportUnknownParameterType=false, reportMissingTypeArgument=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# The framework's types of fields and schemas are open, and its hooks take more than is needed here.
"""Bodies read strictly: exactly the structure a route names, and errors that repeat nothing of what was sent."""

from collections.abc import Generator
from typing import Any, Generic, TypeVar

import msgspec
from litestar.dto import AbstractDTO, DTOConfig

from tomoni.media import JSON, sent
from tomoni.problems import Problem, without_values

T = TypeVar("T")


class StrictJson(AbstractDTO[T], Generic[T]):
    """Reads a body as exactly the structure the route names.

    The framework's own way converts "3" to 3, accepts any content type and repeats wrong values in its errors.
    """

    config = DTOConfig()

    @classmethod
    def create_for_field_definition(cls, field_definition: Any, handler_id: str, backend_cls: Any = None) -> None:
        """Make nothing: the structure is read by msgspec itself."""

    @classmethod
    def create_openapi_schema(cls, field_definition: Any, handler_id: str, schema_creator: Any) -> Any:
        """Return the schema of the structure."""
        return schema_creator.for_field_definition(field_definition)

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[Any, None, None]:
        """Return none: there is no other structure in between."""
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: Any) -> bool:
        """Return that nothing is nested for the framework to look into."""
        return False

    def decode_bytes(self, value: bytes) -> T:
        """Return the structure of a body; raise Problem where it is not one."""
        if sent(self.asgi_connection.scope["headers"]) != JSON:
            raise Problem("unsupported-media-type", "Send JSON, with Content-Type: application/json.")
        return read_body(value, self.model_type)


def read_body(data: bytes, cls: type[T], part: str = "body") -> T:
    """Return the structure of a JSON text; raise Problem `malformed`, which names the place, not what stood there."""
    try:
        return msgspec.json.decode(data, type=cls)
    except msgspec.ValidationError as error:
        raise malformed(error, part) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Problem("malformed", f"The {part} is not well-formed JSON. Mend it and send it again.") from None


def malformed(error: msgspec.ValidationError, part: str = "body") -> Problem:
    """Return the problem of a part of a request that is not the structure asked for."""
    text = without_values(str(error), part).rstrip(".")
    return Problem("malformed", f"{text}. Mend the {part} and send it again.")
