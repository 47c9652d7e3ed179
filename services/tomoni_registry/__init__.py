"""The municipal registry node: commands in, events out, personal data in the vault."""
