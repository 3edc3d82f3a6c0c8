"""A report as one self-contained HTML page: pictures, style and script are embedded, and nothing is fetched.

The page has a content security policy: only its own style and script run (by hash), so that a text of the manifest
could not run code even if escaping failed.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from clearport.bundle.folder import Bundle
from clearport.disk.files import write_text
from clearport.reports import templates
from clearport.reports.content import Page
from clearport.reports.embedded import scale
from clearport.reports.errors import OutputErrors, errors
from clearport.reports.markdown import markdown
from clearport.reports.page import page as page_of
from clearport.reports.pictures import Comparison, comparison
from clearport.reports.plots import draw, draw_scatter, draw_spreads
from clearport.reports.text import number


def write_reports(bundle: Bundle) -> tuple[Path, Path]:
    """Write ``report.md`` and ``report.html`` into the bundle, from its manifest and golden pictures; returns both
    paths.

    Raises:
        BadInput: the folder cannot be written.
    """
    page = page_of(bundle.manifest)
    as_markdown, as_html = bundle.folder / "report.md", bundle.folder / "report.html"
    write_text(as_markdown, markdown(page, bundle.manifest))
    write_text(as_html, html(page, comparison(bundle), errors(bundle)))
    return as_markdown, as_html


def html(page: Page, pictures: Comparison | str, changed: Sequence[OutputErrors] | str) -> str:
    """The page as HTML. ``pictures``, and the errors of int8 ``changed``, may be the reason for their absence."""
    style, script = templates.asset("page.css"), templates.asset("page.js")
    return (
        templates.environment()
        .get_template("page.html.j2")
        .render(
            page=page,
            pictures=pictures,
            has_pictures=isinstance(pictures, Comparison),
            changed=changed,
            has_changed=not isinstance(changed, str),
            draw=draw,
            draw_scatter=draw_scatter,
            draw_spreads=draw_spreads,
            number=number,
            scale=scale(),
            style=Markup(style),  # noqa: S704 - the package's own file
            script=Markup(script),  # noqa: S704 - the package's own file
            style_hash=hash_of(style),
            script_hash=hash_of(script),
        )
    )


def hash_of(text: str) -> str:
    """The hash by which a content security policy allows a style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
