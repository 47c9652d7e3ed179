"""Whose records are complete, and since when others were not heard of."""
