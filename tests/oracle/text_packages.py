"""What is done with packages that make text."""

# The packages are imported after the probes are set or before: not at the top.
from __future__ import annotations

import io
from typing import Any, List, Tuple


def click() -> Any:
    """A command line program: options of every kind, help, errors."""
    import click
    from click.testing import CliRunner

    class Colour(click.ParamType):
        name = "colour"

        def convert(self, value: Any, param: Any, context: Any) -> Any:
            if not value.startswith("#"):
                self.fail(f"{value} is no colour", param, context)
            return int(value[1:], 16)

    @click.group(invoke_without_command=True, chain=False)
    @click.option("--verbose", "-v", count=True, help="How much is said.")
    @click.option("--size", type=click.IntRange(1, 9, clamp=True), default=3, show_default=True)
    @click.version_option("1.0", prog_name="tool")
    @click.pass_context
    def tool(context: Any, verbose: int, size: int) -> None:
        r"""A tool of tools.

        \b
        With text
        that is kept.
        """
        context.obj = {"verbose": verbose, "size": size}
        if context.invoked_subcommand is None:
            click.secho("nothing to do", fg="red", bold=True)

    @tool.command()
    @click.argument("names", nargs=-1, required=True)
    @click.option("--shade", type=Colour(), default="#ff")
    @click.option("--kind", type=click.Choice(["a", "b"], case_sensitive=False))
    @click.option("--ratio", type=float)
    @click.option("--pair", nargs=2, type=(str, int), multiple=True)
    @click.option("--flag/--no-flag", default=None)
    @click.option("--when", type=click.DateTime())
    @click.pass_obj
    def paint(obj: Any, names: Any, **rest: Any) -> None:
        """Paints."""
        click.echo(f"{obj['size']} {names} {sorted((k, str(v)) for k, v in rest.items())}")

    @tool.command(short_help="copies")
    @click.argument("source", type=click.File("r"))
    @click.argument("target", type=click.File("w"), default="-")
    @click.option("--password", prompt=True, hide_input=True, confirmation_prompt=True)
    def copy(source: Any, target: Any, password: str) -> None:
        target.write(source.read().upper() + "*" * len(password))

    runner = CliRunner()
    answers: List[Any] = []
    runs: Tuple[Tuple[List[str], Any], ...] = (
        ([], None),
        (["--help"], None),
        (["--version"], None),
        (["-vv", "--size", "77", "paint", "x", "y"], None),
        (["paint", "--help"], None),
        (["paint"], None),
        (["paint", "x", "--kind", "C"], None),
        (["paint", "x", "--kind", "B", "--ratio", "0.5", "--pair", "p", "1", "--pair", "q", "2"], None),
        (["paint", "x", "--pair", "p", "z"], None),
        (["paint", "x", "--shade", "red"], None),
        (["paint", "x", "--no-flag", "--when", "2020-01-02", "--", "--y"], None),
        (["paint", "x", "--when", "never"], None),
        (["painted"], None),
        (["--siz", "3"], None),
        (["copy", "-", "--password", "z"], "text"),
        (["copy", "-"], "secret\nsecret\nbody\n"),
        (["copy", "/nowhere/at/all", "--password", "z"], None),
    )
    for _ in range(4):
        for arguments, stdin in runs:
            result = runner.invoke(tool, arguments, input=stdin)
            answers.append([result.exit_code, result.output, repr(result.exception)])
    answers.append(click.unstyle(click.style("x", fg="green", underline=True)))
    return answers


def rich() -> Any:
    """Tables, trees, Markdown on a screen."""
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.panel import Panel
    from rich.pretty import Pretty
    from rich.table import Table
    from rich.text import Text
    from rich.tree import Tree

    file = io.StringIO()
    console = Console(
        file=file, width=70, force_terminal=True, color_system="truecolor", legacy_windows=False
    )
    for round_ in range(2):
        table = Table(title="Prices", show_lines=bool(round_), row_styles=["", "dim"])
        table.add_column("name", justify="right", style="cyan")
        table.add_column("what is to be said of it", ratio=1)
        for i in range(5):
            table.add_row(f"n{i}", "[bold]some[/bold] longer text, " * i)
        tree = Tree("root")
        branch = tree.add("[red]branch")
        branch.add(Panel("leaf", title="t"))
        console.print(table, tree, Text("hello", style="bold on blue"))
        console.print(Pretty({"a": [1, 2, {"b": ("x" * 60, None)}], "c": list(range(40))}))
        console.print(
            Markdown(
                "# Title\n\n* one\n* two `code`\n\n> said\n\n1. x\n2. y\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
            )
        )
        console.rule("end")
        console.print({"x": 1.5}, "plain", 42, highlight=True)
    return file.getvalue()


def jinja2() -> Any:
    """Templates, also asynchronous and broken ones."""
    import asyncio

    import jinja2

    sources = {
        "base": "<title>{% block title %}base{% endblock %}</title>{% block body %}{% endblock %}",
        "macros": "{% macro item(x, cls='c') -%}<li class={{ cls }}>{{ x|e }} {{ caller() if caller }}</li>{%- endmacro %}",
        "page": (
            "{% extends 'base' %}{% import 'macros' as m %}{% block title %}{{ super() }}!{% endblock %}"
            "{% block body %}{% for row in rows if row.n is odd %}{{ loop.index }}/{{ loop.length }}"
            "{% call m.item(row.name) %}in{% endcall %}{% else %}none{% endfor %}"
            "{% set ns = namespace(t=0) %}{% for r in rows %}{% set ns.t = ns.t + r.n %}{% endfor %}{{ ns.t }}"
            "{% with a=1, b=[2,3] %}{{ a ~ b|join('-') }}{% endwith %}{% filter upper %}x{{ 1 if 2 > 1 }}{% endfilter %}"
            "{{ rows|map(attribute='name')|list|sort|reverse|list }} {{ {'a': 1}.get('a') }} {{ missing is defined }}"
            "{{ rows|groupby('n')|length }} {{ 'abc'[1:] }} {{ '%05d'|format(7) }} {{ 'a b'|title|replace('A', 'x') }}"
            "{% include ['nothing', 'part'] %}{% raw %}{{ }}{% endraw %}{# c #}{{ 3 // 2 ** 2 % 5 }}{% endblock %}"
        ),
        "part": "{% for i in range(3) recursive %}{{ loop.cycle('a', 'b') }}{% endfor %}{{ rows|tojson }}{{ dict(z=1)|dictsort }}",
    }
    rows = [{"n": i, "name": f"<n{i}>"} for i in range(7)]
    answers: List[Any] = []
    for escape in (True, False):
        environment = jinja2.Environment(
            loader=jinja2.DictLoader(sources),
            autoescape=escape,
            trim_blocks=True,
            undefined=jinja2.ChainableUndefined,
        )
        for _ in range(2):
            answers.append(environment.get_template("page").render(rows=rows))
        for bad in (
            "{% if %}",
            "{{ 1 + }}",
            "{% for x in y %}",
            "{{ a|nofilter }}",
            "{{ 1/0 }}",
            "{% endfor %}",
        ):
            try:
                answers.append(environment.from_string(bad).render())
            except Exception as error:
                answers.append([type(error).__name__, str(error)])
        answers.append(list(environment.lex("{{ a + 'b' }} {% set x = [1, 2.5] %}")))
    running = jinja2.Environment(loader=jinja2.DictLoader(sources), enable_async=True)

    async def everything() -> str:
        async def names() -> Any:
            for row in rows:
                yield row["name"]

        text = await running.get_template("page").render_async(rows=rows)
        return text + await running.from_string("{% for n in ns() %}{{ n }}{% endfor %}").render_async(
            ns=names
        )

    answers.append(asyncio.run(everything()))
    return answers


def pygments() -> Any:
    """Six languages in three formats."""
    import pygments
    from pygments.formatters import HtmlFormatter, LatexFormatter, TerminalFormatter
    from pygments.lexers.c_cpp import CLexer
    from pygments.lexers.data import JsonLexer, YamlLexer
    from pygments.lexers.html import HtmlLexer
    from pygments.lexers.python import Python3Lexer, PythonConsoleLexer

    python = "import os\nclass A(B):\n    '''doc'''\n    @x\n    def f(self, *a):\n        return f'{a!r:>{3}} \\n' + r'\\d' + 0x1f\n\nasync def g(): await h(1e5)\n"
    texts = (
        (Python3Lexer(), python * 3),
        (PythonConsoleLexer(), ">>> 1 + 1\n2\n>>> def f():\n...     pass\n"),
        (JsonLexer(), '{"a": [1, 2.5e3, null, true], "b": {"c": "\\u1234"}} // x'),
        (YamlLexer(), "a: 1\nb:\n  - x: |\n      text\n  - &y {z: [1, 2]}\n# c\n--- !tag\n"),
        (
            HtmlLexer(),
            "<html><style>a { b: c }</style><script>var x = 1;</script><p class='q'>&amp;</p></html>",
        ),
        (CLexer(), '#include <x.h>\nint main(void) { /* c */ char *s = "x\\n"; return 0x1F; }\n'),
    )
    answers: List[str] = []
    for formatter in (HtmlFormatter(linenos="table", full=True), LatexFormatter(), TerminalFormatter()):
        for lexer, text in texts:
            answers.append(pygments.highlight(text, lexer, formatter))
    return answers
