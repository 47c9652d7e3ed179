"""Admissions: who may publish and with which keys, in the federation's own log."""
