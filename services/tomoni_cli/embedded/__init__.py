"""Servers that come from wheels and live and die with the process that started them."""
