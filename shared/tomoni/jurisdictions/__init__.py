"""Codes and names of all jurisdictions of Japan."""
