"""What every Tomoni service agrees on: jurisdictions, events, the log, the event store and the transport."""
