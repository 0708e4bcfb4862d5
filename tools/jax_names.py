"""Looks up what jaxsd takes from JAX's less stable parts in another version, without installing it.

    pip download jax --no-deps --python-version 3.12 --only-binary=:all: -d wheels
    python tools/jax_names.py wheels/jax-*.whl

A line for each name of `jax.experimental`, `jax.extend` and `jax._src`, and for each setting, with
its parameters where they changed. The exit status is 1 if one is gone or does not take our words.
"""

import ast
import re
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import jax
from absl import app

UNSTABLE = ("jax.experimental", "jax.extend", "jax._src")
NAMED = re.compile("|".join(map(re.escape, (*UNSTABLE, "jax.config"))))
OURS = Path(__file__).parents[1]
INSTALLED = Path(jax.__file__).parents[1]


class Use(NamedTuple):
    """A name, such as "jax.extend.core.Jaxpr", and a keyword that it is given, if any."""

    name: str
    keyword: str = ""


class Found(NamedTuple):
    """What a name is in some version; `parameters` is None where it is no function."""

    parameters: tuple[str, ...] | None = None


def uses_in(source: str) -> Iterator[Use]:
    """Names of `UNSTABLE`, settings as "jax.config.NAME", and keywords of calls."""
    tree, bound = ast.parse(source), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(UNSTABLE):
            bound |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    yield from map(Use, bound.values())
    modules = {name for name, whole in bound.items() if _file(whole, INSTALLED)}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(ast.Name(name), attribute) if name in modules:
                yield Use(f"{bound[name]}.{attribute}")
            case ast.Call(ast.Name(name)) if name in bound:
                yield from (Use(bound[name], word.arg) for word in node.keywords if word.arg)
            case ast.Call(ast.Attribute(ast.Name(name), attribute)) if name in modules:
                whole = f"{bound[name]}.{attribute}"
                yield from (Use(whole, word.arg) for word in node.keywords if word.arg)
            case ast.Call(
                ast.Attribute(ast.Attribute(ast.Name("jax"), "config"), "update"),
                [ast.Constant(str(setting)), *_],
            ):
                yield Use(f"jax.config.{setting}")


def uses(*folders: Path) -> set[Use]:
    """Of all files of folders."""
    texts = (file.read_text("utf-8") for folder in folders for file in folder.rglob("*.py"))
    return {use for text in texts if NAMED.search(text) for use in uses_in(text)}


def find(name: str, version: Path) -> Found | None:
    """What a name is in the folder that holds a version's `jax`; None if it is not there."""
    if name.startswith("jax.config."):
        quoted = re.compile(rf"""(["']){name.removeprefix("jax.config.")}\1""")
        files = (version / "jax" / "_src").rglob("*.py")
        return Found() if any(quoted.search(file.read_text()) for file in files) else None
    if _file(name, version):
        return Found()
    module, _, last = name.rpartition(".")
    path = _file(module, version)
    return _defined(last, path, version) if path else None


def _file(module: str, version: Path) -> Path | None:
    path = version.joinpath(*module.split("."))
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def _defined(name: str, path: Path, version: Path) -> Found | None:
    # Newer versions have type parameters and type statements, which this Python may not know.
    source = re.sub(r"\b(class|def) (\w+)\[.*?\]", r"\1 \2", path.read_text(encoding="utf-8"))
    source = re.sub(r"^type (\w+) =", r"\1 =", source, flags=re.MULTILINE)
    for node in ast.parse(source).body:
        match node:
            case ast.FunctionDef(defined, a) if defined == name:
                words = [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg]
                return Found(tuple(word.arg for word in words if word))
            case ast.ClassDef(defined) | ast.Assign([ast.Name(defined)]) if defined == name:
                return Found()
            case ast.ImportFrom(module, names, 0):
                for alias in names:
                    if (alias.asname or alias.name) == name:
                        return find(f"{module}.{alias.name}", version)
    return None


def compared(used: set[Use], version: Path) -> Iterator[tuple[str, bool]]:
    """A line for each name in order, and whether it is as we need it."""
    for name in sorted({use.name for use in used}):
        now, then = find(name, version), find(name, INSTALLED)
        given = {use.keyword for use in used if use.name == name and use.keyword}
        if now is None:
            yield f"{name}: gone", False
        elif now.parameters is not None and (missing := given - set(now.parameters)):
            yield f"{name}: does not take {', '.join(sorted(missing))}", False
        elif then and now.parameters != then.parameters:
            yield f"{name}: {then.parameters} are now {now.parameters}", True
        else:
            yield f"{name}: as it was", True


def main(argv: Sequence[str]) -> None:
    """Prints the lines for a wheel."""
    with TemporaryDirectory() as folder:
        zipfile.ZipFile(argv[1]).extractall(folder)
        lines = list(compared(uses(OURS / "jaxsd", OURS / "tests"), Path(folder)))
    print(*(line for line, _ in lines), sep="\n")
    sys.exit(not all(good for _, good in lines))


if __name__ == "__main__":
    app.run(main)
