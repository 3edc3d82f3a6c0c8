"""Many exports from one file: ``clearport matrix``."""
