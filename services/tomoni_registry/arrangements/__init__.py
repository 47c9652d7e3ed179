"""Arrangements: whose certificates count here, for what and from when."""
