"""The scheme (制度) a jurisdiction offers, and the rules it applies to applications."""
