"""A town's node on a machine whose clock is off: `python -m tests.system.shifted_node <registry.toml> <seconds>`."""

import sys
from datetime import timedelta
from pathlib import Path

from tomoni import logging, loop, times
from tomoni.server import serve
from tomoni_registry.app import open_registry
from tomoni_registry.settings import load_settings


async def run(config: Path, ahead: timedelta) -> None:
    settings = load_settings(config)
    async with open_registry(settings, lambda: times.now() + ahead) as application:
        await serve(application, settings.http.host, settings.http.port)


if __name__ == "__main__":
    logging.configure("registry")
    loop.run(run(Path(sys.argv[1]), timedelta(seconds=float(sys.argv[2]))))
