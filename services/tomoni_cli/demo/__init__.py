"""The demonstration: a federation and five towns on one machine, and a tour of them."""

from tomoni_cli.demo.command import app

__all__ = ["app"]
