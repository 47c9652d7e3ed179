"""A federation's database and desk, as the federation's own tests have them."""

from tests.federation.conftest import database, desk, federation, setagaya, shibuya, template

__all__ = ["database", "desk", "federation", "setagaya", "shibuya", "template"]
