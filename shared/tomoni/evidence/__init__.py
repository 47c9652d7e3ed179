"""Evidence that a log has contradicted itself: files that convince whoever has the log's key, and nothing else."""
