"""The event store on PostgreSQL: append, read, integrate, publish a checkpoint."""
