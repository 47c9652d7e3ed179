"""A history proven: tree, signatures, keys by size, receipts, admissions, and every entry a legal event."""
