"""Counts of certificates, published once for each month so that no small one can be found out."""
