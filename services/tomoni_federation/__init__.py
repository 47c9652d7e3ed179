"""The federation: proves every log, keeps the mirror, answers status and recognition."""
