"""The state of any log at any position or day, from its entries and nothing else."""
