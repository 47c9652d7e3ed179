"""Certificates: issue, confirm, reissue, revoke, reinstate, correct, and read them."""
