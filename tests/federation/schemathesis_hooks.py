"""What the fuzzing of the interface has to know of our media types."""

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    """Send a text of lines as it is; anything else is no line and is sent as a text, too."""
    return (value if isinstance(value, str) else repr(value)).encode()
