"""Runtimes of other versions than clearport's own, each in its own Python environment, since apps ship older
versions."""
