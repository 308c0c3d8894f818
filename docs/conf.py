"""How the documentation site is built: `make docs`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import seewhy

project = "seewhy"
author = copyright = "The seewhy authors"
version = release = seewhy.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "seewhy_site"]
exclude_patterns = ["_ext", "claims.md"]  # generated/claims.md is the same, with figures

html_theme = "furo"
html_title = "seewhy"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False

myst_enable_extensions = ["attrs_inline", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # findings and claims are flat pages of short sections

# The first hour is a notebook: a cell that fails, or waits too long, fails the build.
nb_execution_mode = "cache"
nb_execution_cache_path = str(Path(__file__).parent.parent / "build" / "docs" / "notebooks")
nb_execution_raise_on_error = True
nb_execution_timeout = 600  # of a cell, on a machine that does much else
nb_merge_streams = True

default_role = "code"
smartquotes_action = "qe"  # options begin with two hyphens
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
nitpicky = False
