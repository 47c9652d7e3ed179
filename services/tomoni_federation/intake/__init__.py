"""Intake: from the courier into the mirror, proven byte for byte."""
