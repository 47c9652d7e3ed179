"""What auditors compare with their own replay: the read model of one issuer by digests, and rows where they differ."""
