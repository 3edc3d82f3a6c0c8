"""The documentation site: written pages, and pages generated from the code (``python -m docs.generate``)."""
