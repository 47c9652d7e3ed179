"""Recognition: does a certificate count here, for this service, on this day, and why."""
