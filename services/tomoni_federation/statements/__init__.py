"""Answers as signed statements, and the keys that sign them."""
