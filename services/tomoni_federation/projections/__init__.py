"""Projections: proven entries to the rows that answers are made of."""
