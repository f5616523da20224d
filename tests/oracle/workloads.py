"""What is done with each package: many of its lines, always the same way, and an answer to compare."""

from __future__ import annotations

from typing import Any, Callable, Dict, NamedTuple, Tuple

from tests.oracle import data_packages, text_packages


class Workload(NamedTuple):
    """A package, the modules of it to be probed, and something to do with them.

    Attributes:
        imports: Imported at first where the probes come after the import.
        files: Prefixes, relative to the package's directory, of the files that are probed; all
            of them if there is none.
        run: Does it; its answer is JSON.
    """

    package: str
    imports: Tuple[str, ...]
    files: Tuple[str, ...]
    run: Callable[[], Any]


WORKLOADS: Dict[str, Workload] = {
    "click": Workload("click", ("click", "click.testing"), (), text_packages.click),
    "attrs": Workload("attr", ("attr",), (), data_packages.attrs),
    "rich": Workload(
        "rich",
        (
            "rich.console",
            "rich.markdown",
            "rich.panel",
            "rich.pretty",
            "rich.table",
            "rich.text",
            "rich.tree",
        ),
        (
            "table",
            "text",
            "segment",
            "panel",
            "tree",
            "markdown.py",
            "pretty",
            "style.py",
            "measure",
            "cells.py",
            "_wrap",
            "_ratio",
        ),
        text_packages.rich,
    ),
    "jinja2": Workload("jinja2", ("jinja2", "jinja2.ext"), (), text_packages.jinja2),
    "pygments": Workload(
        "pygments",
        ("pygments.formatters", "pygments.lexers.python", "pygments.lexers.data"),
        ("__init__", "lexer", "formatter", "token", "util", "regexopt", "filter", "style"),
        text_packages.pygments,
    ),
    "networkx": Workload(
        "networkx",
        ("networkx",),
        (
            "classes/graph.py",
            "classes/digraph.py",
            "classes/coreviews.py",
            "classes/reportviews.py",
            "utils",
            "algorithms/shortest_paths/weighted.py",
            "algorithms/centrality/betweenness.py",
            "algorithms/cluster.py",
            "algorithms/flow",
            "algorithms/dag.py",
            "algorithms/cycles.py",
            "algorithms/traversal",
            "algorithms/tree/mst.py",
        ),
        data_packages.networkx,
    ),
    "sqlglot": Workload(
        "sqlglot",
        ("sqlglot", "sqlglot.optimizer", "sqlglot.dialects.mysql", "sqlglot.dialects.postgres"),
        (
            "parser",
            "generator.py",
            "tokens.py",
            "tokenizer_core.py",
            "errors",
            "schema",
            "optimizer",
            "helper",
            "expressions/core.py",
        ),
        data_packages.sqlglot,
    ),
    "lark": Workload("lark", ("lark",), (), data_packages.lark),
    "parso": Workload("parso", ("parso",), (), data_packages.parso),
}
