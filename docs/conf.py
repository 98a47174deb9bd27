"""The documentation site: `pip install -e '.[docs]' && python -m sphinx -W docs site`, offline."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "ruledsl"
author = "the ruledsl developers"
copyright = "the ruledsl developers"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_click",
    "mathml",
    "pages",
]
nb_execution_mode = "off"  # they are kept with what they printed, and executed by the tests
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
# Links to files of the repository, such as rules and plugins, are for readers of the repository.
# A page of the paper's claims begins below the title of another.
suppress_warnings = ["myst.xref_missing", "myst.header"]
html_theme = "furo"
html_title = "ruledsl"
html_static_path = ["_static"]
html_js_files = ["gallery.js"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_sphinx = False
exclude_patterns = ["results/paper/*.json"]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
