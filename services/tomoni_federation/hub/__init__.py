"""The hub: owns the nats-server, its configuration from the admissions, its streams and its restarts."""
