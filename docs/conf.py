"""Sphinx: the pages are Markdown; the API reference is written from the OpenAPI document."""

from __future__ import annotations

import pathlib
import sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

from api_reference import write_reference  # noqa: E402 - lies beside this file

project = "otel-tracepoints"
author = "The tracepoints maintainers"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "otel-tracepoints"
exclude_patterns = ["_build", "requirements.txt"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]

write_reference(HERE / "api.md")
