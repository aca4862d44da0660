"""The code that a number depends on: what measures it, and all that is imported from there.

Found by reading the sources (`ast`), so that nothing has to run: imports inside functions and for
types count as well. Importing `a.b.c` runs `a` and `a.b` before, so these are in it too.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path


def closure(package: Path, *roots: str) -> dict[str, Path]:
    """The modules of the folder `package` that `roots` import, directly or not, and their files.

    Names are full ones (`anonlab.images`). Raises `KeyError` for a root that does not exist.
    """
    modules = _modules(package)
    found: dict[str, Path] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = modules[name]
        parts = name.split(".")
        waiting += [".".join(parts[:length]) for length in range(1, len(parts))]
        waiting += _imported(name, modules)
    return dict(sorted(found.items()))


def code_digest(package: Path, *roots: str) -> str:
    """SHA-256 over the files of the closure, and their names."""
    digest = hashlib.sha256()
    for name, path in closure(package, *roots).items():
        source = path.read_bytes()
        digest.update(f"{name} {len(source)}\n".encode() + source)
    return digest.hexdigest()


def _modules(package: Path) -> dict[str, Path]:
    paths = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package.parent).with_suffix("").parts
        paths[".".join(parts[:-1] if path.name == "__init__.py" else parts)] = path
    return paths


def _imported(module: str, modules: dict[str, Path]) -> list[str]:
    """What the file of a module imports of the package."""
    path = modules[module]
    here = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return [name for name in _names(path.read_bytes(), here) if name in modules]


@cache  # parsing a hundred files takes a second
def _names(source: bytes, here: str) -> tuple[str, ...]:
    """Whatever a source in the package `here` imports, by full names."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = here.split(".")
            above = parts[: len(parts) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            # `from a import b`: b may be a module of a, or a name in it
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(names)
