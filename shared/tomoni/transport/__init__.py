"""NATS: subjects, connection, batch publish, pull consume."""
