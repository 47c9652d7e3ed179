"""An answer of the federation from the entries that decided it, each proven."""
