"""Sphinx's configuration; copied beside the pages by ``docs.generate``."""

from importlib.metadata import version as _version

project = "clearport"
author = "the clearport authors"
copyright = author  # noqa: A001  Sphinx's name
release = version = _version("clearport")
extensions = ["myst_parser"]
root_doc = "index"
html_theme = "furo"
html_title = f"clearport {release}"
html_copy_source = False
html_show_sourcelink = False
html_last_updated_fmt = None
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["myst.header"]  # docstrings may begin below the second level
exclude_patterns: list[str] = ["ARCHITECTURE.md", "findings.md"]  # included by other pages
smartquotes = False  # options have two hyphens
