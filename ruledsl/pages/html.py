"""What every page has: its template, the charts that it draws, formulas, and nothing from outside."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from ruledsl import __version__
from ruledsl.errors import require
from ruledsl.figures import Chart
from ruledsl.rules import formula


def page_of(template: str, charts: Sequence[Chart], **more: Any) -> str:
    """The HTML of a template, which extends `base.html.j2`. Raises `MissingExtra` without the extra
    `report`."""
    jinja2, plotly, _ = require("report", "jinja2", "plotly.offline", "latex2mathml.converter")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        version=__version__,
        date=date.today().isoformat(),
        plotly=base64.b64encode(gzip.compress(plotly.get_plotlyjs().encode(), 9, mtime=0)).decode(),
        charts_json=_safe(json.dumps(charts, allow_nan=False)),
        **more,
    )


def _safe(script: str) -> Any:
    """Text for inside <script>: nothing in it may end the element."""
    from markupsafe import Markup

    return Markup(script.replace("</", "<\\/").replace("<!--", "<\\!--"))


def mathml(latex: str) -> Any:
    """LaTeX as MathML, which needs no script."""
    from markupsafe import Markup

    return Markup(formula(latex))
