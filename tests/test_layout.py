"""The house is as the README's map says: what is where, who may import whom, and who may touch the world."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import needs

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "notifier"

# Imports through which a pure module could reach a socket, the disk, a clock, a database or the environment.
WORLD = re.compile(
    r"(?:aiosmtplib|apscheduler|asyncio|fcntl|glob|http\.(?:client|server)|httptools|httpx|importlib\.(?:metadata|resources)|logging|os"
    r"|select|selectors|shutil|signal|smtplib|socket|sqlite3|ssl|starlette|subprocess|tempfile|threading|time"
    r"|urllib\.request|uvicorn)(?:\..*)?"
)
# Calls that do so through a module that is harmless otherwise.
WORLDLY_CALLS = re.compile(
    r"(?:datetime\.)?(?:datetime\.(?:now|today|utcnow)|date\.today)|open|print|input|uuid\.uuid1|(?:utils\.)?make_msgid"
    r"|.*\.(?:exists|expanduser|glob|is_dir|is_file|iterdir|mkdir|open|r?glob|read_bytes|read_text|stat|touch|unlink"
    r"|write_bytes|write_text)"
)


def the_map() -> list[str]:
    """The lines of the map in the README: `  name.py  what` or `  name/  what`, and one `  ---` before the world."""
    found = re.search(r"^## The map\n.*?^```\w*\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert found, "README.md has no fenced block after '## The map'"
    lines = found[1].splitlines()
    start = lines.index(next(line for line in lines if line.startswith("notifier/"))) + 1
    end = next((n for n in range(start, len(lines)) if not lines[n].startswith(" ")), len(lines))
    return [line.split()[0] for line in lines[start:end]]


def rows() -> list[str]:
    """The modules in the order of the map, a family once."""
    return [re.sub(r"\.py$|/$", "", name) for name in the_map() if not name.startswith("---")]


def pure_rows() -> list[str]:
    names = the_map()
    (border,) = [number for number, name in enumerate(names) if name.startswith("---")]
    return [re.sub(r"\.py$|/$", "", name) for name in names[:border]]


def sources() -> dict[str, ast.Module]:
    """Every module by its dotted name below the package; a family's own name is its `__init__`."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = ast.parse(path.read_text(), str(path))
    found.pop("__init__", None)  # where the tests run on an installed wheel there is no package here at all
    return found


SOURCES = sources()


def row_of(module: str) -> str:
    return module.partition(".")[0]


def imports(tree: ast.AST) -> Iterator[str]:
    """The dotted names that are imported anywhere in the tree, also within functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(module: str) -> set[str]:
    """The modules of ours that this one imports."""
    found = set()
    for name in imports(SOURCES[module]):
        while name.startswith("notifier.") and name.removeprefix("notifier.") not in SOURCES:
            name = name.rpartition(".")[0]
        if name.startswith("notifier."):
            found.add(name.removeprefix("notifier."))
    return found


def test_the_map_names_every_module_and_nothing_else():
    there = {path.name + "/" * path.is_dir() for path in PACKAGE.iterdir()}
    aside = {"__init__.py", "__main__.py", "__pycache__/", "py.typed"}
    assert sorted(there - aside) == sorted(name for name in the_map() if not name.startswith("---"))


def test_what_the_guide_to_changes_names_is_there():
    text = (ROOT / "docs/where.md").read_text()
    named = re.findall(r"`((?:notifier|templates|tests)/[\w/.]+|[\w.]+\.(?:toml|md|py))`", text)
    within = ("", "templates/mail/", "notifier/transports/")
    assert len(named) > 30
    assert [name for name in named if not any((ROOT / folder / name).exists() for folder in within)] == []


def test_a_module_imports_only_from_rows_above_its_own():
    order = rows()
    climbing = [
        f"{module} imports {other}"
        for module in SOURCES
        if module != "__main__"
        for other in own_imports(module)
        if row_of(other) != row_of(module) and order.index(row_of(other)) > order.index(row_of(module))
    ]
    assert climbing == []


def test_no_module_imports_itself_by_way_of_others():
    graph = {module: own_imports(module) for module in SOURCES}

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = list(graph[start])
        while waiting:
            module = waiting.pop()
            if module not in seen:
                seen.add(module)
                waiting += graph[module]
        return seen

    assert [module for module in graph if module in reached(module)] == []


def test_a_pure_module_touches_nothing_of_the_world():
    touching = [
        f"{module}: {touch}"
        for module, tree in SOURCES.items()
        if row_of(module) in pure_rows()
        for touch in (*world_imports(tree), *worldly_calls(tree))
    ]
    assert touching == []


def world_imports(tree: ast.Module) -> Iterator[str]:
    return (f"imports {name}" for name in imports(tree) if WORLD.fullmatch(name))


def worldly_calls(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and WORLDLY_CALLS.fullmatch(called := ast.unparse(node.func)):
            yield f"line {node.lineno} calls {called}"


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("import asyncio", 1),
        ("def f():\n    from urllib.request import urlopen", 1),
        ("from os import environ", 1),
        ("import os.path", 1),
        ("from datetime import datetime\ndatetime.now(UTC)", 1),
        ("import datetime\ndatetime.datetime.now(UTC)", 1),
        ("Path('x').read_text()", 1),
        ("open('x')", 1),
        ("from urllib.parse import urlsplit\nurlsplit(x).port", 0),
        ("from datetime import datetime\ndatetime.fromisoformat('2021-11-27')", 0),
    ],
)
def test_a_touch_of_the_world_is_seen_however_it_is_written(code, count):
    tree = ast.parse(code)
    assert len([*world_imports(tree), *worldly_calls(tree)]) == count


def test_everything_public_says_what_one_gets():
    silent = [f"{module}.{name}" for module, tree in SOURCES.items() for name in undocumented(module, tree)]
    assert silent == []


def undocumented(module: str, tree: ast.Module) -> Iterator[str]:
    promised = promised_methods(module)
    if not ast.get_docstring(tree):
        yield "the module"
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        if not ast.get_docstring(node) and node.name not in promised:
            yield node.name
        for method in methods(node):
            is_said = ast.get_docstring(method) or method.name in promised
            if not is_said and not (is_protocol(node) and method.decorator_list):  # a wanted attribute is its name
                yield f"{node.name}.{method.name}"


def methods(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The public methods of a class."""
    for each in node.body if isinstance(node, ast.ClassDef) else ():
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and not each.name.startswith("_"):
            yield each


def is_protocol(node: ast.AST) -> bool:
    return isinstance(node, ast.ClassDef) and any(ast.unparse(base).startswith("Protocol") for base in node.bases)


def promised_methods(module: str) -> set[str]:
    """What an interface in a module that this one imports, or in its family, says already."""
    return {
        method.name
        for other in {module, *own_imports(module), *(name for name in SOURCES if name == row_of(module))}
        for node in SOURCES[other].body
        if is_protocol(node)
        for method in methods(node)
        if ast.get_docstring(method)
    }


def test_no_module_has_the_name_of_one_in_the_standard_library():
    assert {row_of(module) for module in SOURCES} & (sys.stdlib_module_names - {"__main__"}) == set()


@needs("git", "git")
def test_no_file_names_a_machine_or_a_registry(tmp_path):
    places = re.compile(
        r"(?<![\w.:/-])/(?:work|root|home|Users)/"  # somebody's own folders
        r"|\.\./shared\b"
        r"|\b(?:pypi|pythonhosted|npmjs|crates|rubygems)\.(?:org|com|io)\b"
        r"|--(?:extra-)?index-url|--find-links"
    )
    named = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in kept_files(tmp_path)
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(errors="ignore").splitlines(), 1)
        if places.search(line)
    ]
    assert named == []


def kept_files(scratch: Path) -> list[Path]:
    """Every file that git keeps or would keep, also where the tree is a copy without its history."""
    git = ["git", f"--git-dir={scratch}", f"--work-tree={ROOT}"]
    subprocess.run(["git", "init", "--quiet", "--bare", scratch], check=True)
    listed = subprocess.run(
        [*git, "-c", "core.bare=false", "ls-files", "-z", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name]
