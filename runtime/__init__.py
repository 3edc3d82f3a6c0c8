"""Runtimes in subprocesses: parity, latency, quality."""
