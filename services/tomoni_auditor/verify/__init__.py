"""Verify a log from outside: read its files over HTTP or from a folder, and trust nothing but the key."""
