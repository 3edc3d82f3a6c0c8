"""The report of a system of several parts."""
