"""The live federation against a replay of one's own: equal, or the first difference."""
