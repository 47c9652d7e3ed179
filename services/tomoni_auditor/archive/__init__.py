"""Histories in folders: each log as plain C2SP tlog-tiles files, and beside them what an audit needs as well."""
