"""Which cell of a notebook a metric comes from, so that a report can lead there.

Read from the source: the last cell calls `record(output, {"name": expression, …})`, and a metric
comes from the last cell before it that assigns a variable of its expression.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from pathlib import Path


def cells_of(notebook: Path, metrics: Iterable[str]) -> dict[str, str]:
    """Metric → id of its cell; those whose variables nothing assigns are found where it is recorded.

    Empty where the notebook has no ids or no call of `record` that can be read.
    """
    cells = [
        (cell.get("id"), _parsed("".join(cell["source"])))
        for cell in json.loads(notebook.read_text())["cells"]
        if cell["cell_type"] == "code"
    ]
    recorded = [(index, _recorded(tree)) for index, (_, tree) in enumerate(cells)]
    recorded = [(index, call) for index, call in recorded if call is not None]
    if not recorded:
        return {}
    index, call = recorded[-1]
    before = [(name, _names(tree, ast.Store)) for name, tree in reversed(cells[:index])]
    found = {}
    for metric in metrics:
        wanted = _variables(call, metric.split("/")[0])
        made_in = next((name for name, assigned in before if assigned & wanted), cells[index][0])
        if made_in:
            found[metric] = made_in
    return found


def _parsed(source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except SyntaxError:  # a magic of IPython
        return ast.parse("")


def _recorded(tree: ast.Module) -> ast.expr | None:
    """What is passed to `record` as the metrics."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "record":
            return node.args[1] if len(node.args) > 1 else None
    return None


def _variables(recorded: ast.expr, key: str) -> set[str]:
    """The variables of the entry `key`, or of everything that is recorded where no entry says so."""
    for node in ast.walk(recorded):
        if isinstance(node, ast.Dict):
            for name, value in zip(node.keys, node.values, strict=True):
                if isinstance(name, ast.Constant) and name.value == key:
                    return _names(value, ast.Load) - _names(value, ast.Store)
    return _names(recorded, ast.Load) - _names(recorded, ast.Store)


def _names(tree: ast.AST, context: type) -> set[str]:
    return {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, context)
    }
