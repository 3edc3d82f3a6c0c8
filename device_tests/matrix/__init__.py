"""Support matrices, built for real."""
