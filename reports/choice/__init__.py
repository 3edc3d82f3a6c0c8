"""Recommendations: by kind of device, and by quality against time and size."""
