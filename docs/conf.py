"""The documentation as a site: sphinx-build -W docs build/docs."""

from __future__ import annotations

import importlib.metadata

project = "ctxmgr"
author = "the ctxmgr maintainers"
release = importlib.metadata.version("ctxmgr")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}

html_theme = "furo"
html_title = f"ctxmgr {release}"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_class_signature = "separated"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# One role may name a result of either package, and types that only a type checker sees have no page.
nitpicky = False
# `bytes` and `files` name the attributes of several results.
suppress_warnings = ["ref.python"]
