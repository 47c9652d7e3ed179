"""Watches: the documents that somebody relies on, and a feed of what becomes of them."""
