"""Bundles at the federation: taken in by the way of the wire, and the receipt that is carried back."""
