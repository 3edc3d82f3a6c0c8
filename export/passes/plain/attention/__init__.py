"""Passes for layers of window attention: overlapping windows, and query, key and value."""
