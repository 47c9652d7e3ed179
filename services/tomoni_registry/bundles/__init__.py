"""Bundles at the node: what the relay would send, in a file to be carried, and the receipt that comes back."""
