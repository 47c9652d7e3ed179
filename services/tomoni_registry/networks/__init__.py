"""Networks of jurisdictions: joining and leaving."""
