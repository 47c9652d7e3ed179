"""The event loop of our processes: uvloop's, where it exists; it halves what waking up costs."""

import sys

if sys.platform == "win32":
    from asyncio import run
else:
    from uvloop import run

__all__ = ["run"]
