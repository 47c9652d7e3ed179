"""The federation's own keys: of its log, and for receipts; each is followed by the next in the federation's own log."""
