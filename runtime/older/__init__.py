"""Runtimes of other versions than clearport's own, each in a Python environment of its own: what apps really ship."""
