"""Notebooks made in tests, as the runner finds them."""

import nbformat

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def code(source: str, *outputs: dict, tags: tuple[str, ...] = (), **metadata: object):
    """A code cell that was executed."""
    cell = nbformat.v4.new_code_cell(source, outputs=list(outputs), execution_count=1)
    cell.metadata |= {"tags": list(tags), **metadata}
    return cell


def lesson(parameters: str, *cells, **anonlab: object) -> nbformat.NotebookNode:
    """A notebook of a parameters cell and others, which states `anonlab` about itself."""
    node = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL, "anonlab": anonlab})
    node.cells = [code(parameters, tags=("parameters",)), *cells]
    return node
