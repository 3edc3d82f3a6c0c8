"""The tables of a report, from a manifest."""
