"""`tomoni bench`: speed against limits measured in the same run (design §11)."""

from tomoni_cli.bench.command import app

__all__ = ["app"]
