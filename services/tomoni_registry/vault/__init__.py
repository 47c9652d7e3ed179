"""The vault: personal data, handles, reasons and the access record, encrypted per stream."""
