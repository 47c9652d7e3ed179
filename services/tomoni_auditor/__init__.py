"""The auditor: verifies and replays logs, and trusts nobody."""
