"""Reports of a bundle: Markdown and HTML."""
