"""The house stands as it was drawn: who may import whom, and what may not be in the project at all."""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from velodrome.compiled import DRAWS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "velodrome"
SOURCES = sorted(PACKAGE.rglob("*.py"))

FLOORS = [
    {"games", "nets", "meter"},
    {"runs"},
    {"learn"},
    {"recipes"},
    {"proof"},
    {"edge"},
    {"show"},
    {"audit"},
    {"verbs", "cli", "__main__"},
]
"""From the ground up. A room imports only from the floors below its own, and not from its neighbours; the top floor is
one room."""

STAIRS = {"compiled", "mistake"}
"""Modules beside the rooms that every room may import; they import no room."""

DOOR = "__init__"
"""The package itself, which shows what is in the rooms, and fetches it when it is asked for."""

OPTIONAL = {
    "gymnasium", "mpe2", "onnx", "onnxruntime", "onnxscript", "pettingzoo", "pyspiel", "ray", "tensorboard", "wandb",
}  # fmt: skip
"""Packages that an installation may lack."""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def floor_of(room: str) -> int:
    if room in STAIRS:
        return -1
    if room == DOOR:
        return len(FLOORS)
    floors = [index for index, rooms in enumerate(FLOORS) if room in rooms]
    assert floors, f"src/velodrome/{room} stands on no floor; give it one in FLOORS"
    return floors[0]


def imports(tree: ast.AST) -> Iterator[str]:
    """The dotted names of all modules that are imported anywhere in a tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""
            # `from velodrome import games` names a room too
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def rooms_imported(path: Path) -> set[str]:
    parts = [name.split(".") for name in imports(parsed(path))]
    rooms = {part[1] for part in parts if part[0] == "velodrome" and len(part) > 1}
    known = set.union(*FLOORS) | STAIRS
    return {room for room in rooms if room in known or (PACKAGE / room).is_dir() or (PACKAGE / f"{room}.py").exists()}


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_room_imports_only_from_below(path: Path) -> None:
    own = room_of(path)
    top = len(FLOORS) - 1
    for room in rooms_imported(path) - {own}:
        same_room = floor_of(own) == floor_of(room) == top
        assert floor_of(room) < floor_of(own) or same_room, f"{name_of(path)} imports velodrome.{room}"


def test_games_never_import_torch() -> None:
    allowed = {"numpy", "numba", "llvmlite", "velodrome"}
    for path in (PACKAGE / "games").rglob("*.py"):
        foreign = {name.split(".")[0] for name in imports(parsed(path))} - allowed - sys.stdlib_module_names
        assert not foreign, f"{name_of(path)} imports {', '.join(sorted(foreign))}"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_optional_packages_are_imported_only_when_needed(path: Path) -> None:
    if room_of(path) == "edge":
        return
    tree = parsed(path)
    inside = {id(node) for outer in ast.walk(tree) if isinstance(outer, ast.FunctionDef) for node in ast.walk(outer)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in inside:
            named = {name.split(".")[0] for name in imports(ast.Module([node], []))}
            assert not named & OPTIONAL, f"{name_of(path)} needs {named & OPTIONAL} to be imported"


def test_nothing_that_executes_data_is_used() -> None:
    """Loading a checkpoint, a report or a setting runs no code."""
    modules = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
    calls = {"torch.load", "np.load", "numpy.load", "np.memmap", "eval", "exec", "torch.jit.load"}
    for path in SOURCES:
        tree = parsed(path)
        assert not {name.split(".")[0] for name in imports(tree)} & modules, name_of(path)
        called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert not called & calls, f"{name_of(path)} calls {called & calls}"


def test_what_draws_compiles_nothing() -> None:
    """A change of it does not have everything compiled anew, so it must not hold what is."""
    drawing = list((PACKAGE / "games").rglob(DRAWS))
    assert drawing
    for path in drawing:
        functions = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.FunctionDef)]
        assert not {ast.unparse(each) for node in functions for each in node.decorator_list} & COMPILES, name_of(path)


COMPILES = {"rule", "kernel", "summing_rule", "summing_kernel", "njit", "numba.njit", "jit", "numba.jit"}
SUMMING = {"summing_kernel", "summing_rule"}


def functions_that_sum(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef, str]]:
    """Each with what makes it one."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield from ((node, by) for by in SUMMING & {ast.unparse(each) for each in node.decorator_list})


def called_wrongly(trees: list[ast.Module]) -> list[str]:
    """Kernels that sum in any order and that are called by compiled functions, so that there may be two of each."""
    kernels = {node.name for tree in trees for node, by in functions_that_sum(tree) if by == "summing_kernel"}
    return [
        f"{node.name} calls {call.func.id}"
        for tree in trees
        for node, _ in functions_that_sum(tree)
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in kernels
    ]


def test_kernels_that_sum_call_only_what_becomes_a_part_of_them() -> None:
    assert not called_wrongly([parsed(path) for path in SOURCES])


def scripts() -> list[Path]:
    found = [path for folder in ("benchmarks", "docs") for path in (ROOT / folder).rglob("*.py")]
    return SOURCES + sorted(path for path in found if ".venv" not in path.parts)


@pytest.mark.parametrize("path", scripts(), ids=name_of)
def test_every_file_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(parsed(path)), f"{name_of(path)} begins without a docstring"


def test_functions_are_small() -> None:
    lengths = [
        (node.end_lineno or 0) - node.lineno + 1
        for path in SOURCES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef)
    ]
    long = sum(length >= 45 for length in lengths) / len(lengths)
    assert long <= 0.1, f"{long:.0%} of {len(lengths)} functions have 45 lines or more"


NOT_OURS = {
    "an absolute path of somebody's machine": r"(?<![\w.$}/-])/(?:work|root|home|Users|mnt|workspace)/\w",
    "the host of a package registry": r"pyp[i]\.org|python[h]osted|npm[j]s\.|download\.pyt[o]rch|index-[u]rl",
}
TEXT = {".py", ".md", ".toml", ".txt", ".json", ".yaml", ".yml", ".html", ".css", ".js", ".sh", ".cfg", ""}


def texts() -> Iterator[Path]:
    """Every text file of the project; nothing that is generated on a machine and stays there."""
    for folder, inside, files in os.walk(ROOT):
        left_out = {"runs", "build", "dist"} if Path(folder) == ROOT else {"__pycache__"}
        hidden = {name for name in inside if name.startswith(".")} - {".ci", ".github"}
        inside[:] = [name for name in inside if name not in left_out | hidden and not name.endswith(".egg-info")]
        yield from (Path(folder) / name for name in files if Path(name).suffix in TEXT)


@pytest.mark.parametrize("what", NOT_OURS)
def test_the_text_names_nobodys_machine(what: str) -> None:
    pattern = re.compile(NOT_OURS[what])
    for path in texts():
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            assert not pattern.search(line), f"{name_of(path)}:{number} holds {what}: {line.strip()[:100]}"


def test_these_tests_can_fail() -> None:
    patterns = {what: re.compile(pattern) for what, pattern in NOT_OURS.items()}
    machine, registry = patterns.values()
    assert machine.search('open("/ho' + 'me/ann/file")')
    assert not machine.search("docs/home/page and https://example.org/home/x")
    assert registry.search("https://py" + "pi.org/simple")
    assert list(imports(ast.parse("def f():\n    from velodrome import games"))) == ["velodrome", "velodrome.games"]
    assert floor_of("games") < floor_of("learn") < floor_of("cli")
    part, whole = "@summing_{}\ndef part(): pass\n", "@summing_kernel\ndef whole(): part()"
    assert called_wrongly([ast.parse(part.format("kernel") + whole)]) == ["whole calls part"]
    assert not called_wrongly([ast.parse(part.format("rule") + whole)])
