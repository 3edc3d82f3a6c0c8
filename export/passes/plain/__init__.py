"""Passes that write rarer operators, and more axes than four, by what every target has."""
