"""Proofs for single entries, in files that can be checked offline (C2SP tlog-proof)."""
