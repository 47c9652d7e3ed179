"""The life of a certificate, or of an issuer, as one page that anybody can keep and read."""
