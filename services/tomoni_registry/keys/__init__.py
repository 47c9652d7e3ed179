"""Keys of the node: making them, keeping them, rotating the key of the log."""
