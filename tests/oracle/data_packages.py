"""What is done with packages that parse and compute."""

# The packages are imported after the probes are set or before: not at the top.
from __future__ import annotations

from typing import Any, List


def attrs() -> Any:
    """Classes of every kind."""
    import attr
    from attr import validators

    answers: List[Any] = []
    for round_ in range(5):

        @attr.s(auto_attribs=False, order=True, hash=True)
        class Point:
            x = attr.ib(default=0, converter=int, validator=validators.instance_of(int))
            y = attr.ib(factory=int, validator=[validators.ge(0), validators.lt(100)], repr=hex)
            tags = attr.ib(factory=tuple, metadata={"a": 1}, eq=False)

            @x.validator
            def _positive(self, attribute: Any, value: Any) -> None:
                if value < 0:
                    raise ValueError(attribute.name)

        @attr.define(slots=True)
        class Line:
            start: Any
            end: Any = attr.field(default=None, validator=validators.optional(validators.instance_of(Point)))
            label: str = attr.field(default="", on_setattr=attr.setters.validate, kw_only=True)
            length: float = attr.field(init=False, default=0.0)

            def __attrs_post_init__(self) -> None:
                self.length = 1.5

        @attr.frozen
        class Solid:
            length: float = 1.0

        @attr.frozen
        class Cube(Solid):
            height: int = attr.field(default=1, converter=attr.converters.optional(int), kw_only=True)

        a, b = Point("1", 2), Point(3, 4, ("t",))
        line = Line(a, b, label="l")
        answers += [repr(a), repr(line), a < b, hash(a) == hash(Point(1, 2)), attr.asdict(line)]
        answers += [list(attr.astuple(line, recurse=True)), repr(attr.evolve(a, x=9)), round_]
        answers += [str(attr.asdict(line, filter=attr.filters.exclude(attr.fields(Line).start)))]
        answers += [[f.name for f in attr.fields(Cube)]]
        for bad in (lambda: Point(-1), lambda: Point(1, 200), lambda: Line(a, 5), lambda: Point("z")):
            try:
                bad()
            except Exception as error:
                answers.append([type(error).__name__, str(error)[:60]])
        cube = Cube(2.0, height="7")
        try:
            cube.height = 8
        except attr.exceptions.FrozenInstanceError:
            answers.append(cube.height)
        made = attr.make_class("Made", {"p": attr.ib(default=1), "q": attr.ib(default=attr.Factory(list))})
        answers.append(repr(made(q=[1])))
        answers.append(attr.validate(a) is None)
    return answers


def networkx() -> Any:
    """Algorithms on a graph."""
    import networkx as nx

    answers: List[Any] = []
    graph = nx.gnm_random_graph(24, 60, seed=4)
    for i, (u, v) in enumerate(sorted(graph.edges)):
        graph[u][v]["weight"] = 1 + i % 7
    answers.append(sorted(nx.single_source_dijkstra_path_length(graph, 0).items()))
    answers.append(sorted(nx.betweenness_centrality(graph).items()))
    answers.append(sorted(map(sorted, nx.connected_components(graph))))
    answers.append(sorted(nx.minimum_spanning_edges(graph, data=False)))
    answers.append(sorted(nx.core_number(graph).items()))
    answers.append(nx.is_bipartite(graph))
    answers.append(sorted(nx.clustering(graph).items()))
    flow = nx.DiGraph((u, v, {"capacity": 1 + (u * v) % 5}) for u, v in graph.edges)
    answers.append(nx.maximum_flow_value(flow, 0, 9))
    order = nx.DiGraph((u, v) for u, v in graph.edges if u < v)
    answers += [list(nx.lexicographical_topological_sort(order)), nx.dag_longest_path_length(order)]
    answers.append(sorted(nx.simple_cycles(nx.DiGraph([(0, 1), (1, 2), (2, 0), (1, 0)])), key=str))
    answers.append(sorted(map(sorted, nx.strongly_connected_components(flow))))
    answers.append(list(nx.bfs_edges(graph, 0)) + list(nx.dfs_edges(graph, 0)))
    answers.append(list(nx.generate_adjlist(nx.balanced_tree(2, 3))))
    for bad in (
        lambda: nx.shortest_path(order, 23, 0),
        lambda: nx.find_cycle(order),
        lambda: graph.remove_node("x"),
    ):
        try:
            bad()
        except nx.NetworkXException as error:
            answers.append([type(error).__name__, str(error)])
    return answers


def sqlglot() -> Any:
    """SQL read, written in other dialects, optimized."""
    import sqlglot
    from sqlglot.optimizer import optimize

    answers: List[Any] = []
    queries = (
        "SELECT a, b + 1 AS c FROM t WHERE a > 5 AND b IN (1, 2, 3) ORDER BY c DESC LIMIT 10",
        "WITH x AS (SELECT * FROM y) SELECT x.a, COUNT(*) FROM x JOIN z ON x.id = z.id GROUP BY x.a HAVING COUNT(*) > 1",
        "SELECT CASE WHEN a THEN 'x' ELSE NULL END, CAST(b AS DECIMAL(10, 2)), ROW_NUMBER() OVER (PARTITION BY c ORDER BY d) FROM t",
        "INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y')",
        "CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(20) NOT NULL DEFAULT 'x')",
        "SELECT DATE_ADD(d, INTERVAL 1 DAY) FROM t UNION ALL SELECT e FROM u",
    )
    for query in queries:
        tree = sqlglot.parse_one(query, read="mysql")
        answers.append(repr(tree))
        for dialect in ("duckdb", "postgres", "bigquery"):
            answers.append(tree.sql(dialect=dialect, pretty=True))
    schema = {"y": {"id": "INT", "a": "INT"}, "z": {"id": "INT", "k": "INT"}}
    answers.append(optimize(sqlglot.parse_one(queries[1]), schema=schema).sql())
    for bad in ("SELECT FROM WHERE", "SELECT (1", "CREATE"):
        try:
            answers.append(repr(sqlglot.parse_one(bad)))
        except sqlglot.errors.SqlglotError as error:
            answers.append(str(error))
    return answers


def lark() -> Any:
    """A calculator's grammar, with right and wrong programs."""
    import lark

    grammar = r"""
        start: statement+
        statement: NAME "=" sum ";" -> assign | "print" sum ";" -> show
        ?sum: product | sum "+" product -> add | sum "-" product -> sub
        ?product: atom | product "*" atom -> mul
        ?atom: NUMBER -> number | NAME -> var | "(" sum ")" | "-" atom -> neg
        %import common.CNAME -> NAME
        %import common (NUMBER, WS)
        %ignore WS
    """

    class Calculate(lark.Transformer):
        number = lambda self, items: float(items[0])
        add = lambda self, items: ("+", *items)

    answers: List[Any] = []
    for options in ({"parser": "lalr"}, {"parser": "lalr", "lexer": "basic", "propagate_positions": True}):
        parser = lark.Lark(grammar, **options)
        tree = parser.parse("a = 1 + 2 * (3 - -x); print a + 5;" * 3)
        answers += [tree.pretty(), str(Calculate().transform(tree))]
        for bad in ("a = ;", "a = 1", "a ? 1"):
            try:
                parser.parse(bad)
            except lark.UnexpectedInput as error:
                answers.append([type(error).__name__, error.get_context(bad)])
    return answers


def parso() -> Any:
    """Python read back and forth, with errors."""
    import inspect
    import textwrap

    import parso

    grammar = parso.load_grammar(version="3.8")
    answers: List[Any] = []
    source = inspect.getsource(textwrap)
    for text in (
        source,
        "def f(:\n  x = = 3\nclass\n",
        "async def f():\n    await x\n    return [y async for y in z]\n",
    ):
        module = grammar.parse(text, cache=False)
        answers.append(module.get_code() == text)
        answers.append([error.message for error in grammar.iter_errors(module)])
        leaf = module.get_first_leaf()
        while leaf is not None:
            answers.append([leaf.type, leaf.start_pos])
            leaf = leaf.get_next_leaf()
    return answers
