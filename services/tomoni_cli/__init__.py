"""The `tomoni` command."""
