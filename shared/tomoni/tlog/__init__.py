"""The transparency log as pure functions."""
