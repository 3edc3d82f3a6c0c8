"""Mutated inputs through the command line: an exit code and a message, never a traceback or a hang."""
