"""The status of a document, as far as it is known and how fresh that is."""
