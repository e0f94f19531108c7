"""The layout of the package, read from its source: rooms, ground floor, and short files."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import sklearn_sparse_eig

PACKAGE = Path(sklearn_sparse_eig.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
# Numba's cache watches the file that defines a kernel, so the kernels stay in one.
LONG = {"kernels/_numba.py"}
MAX_LINES = 450
# Kinds of ours that are still told apart; the aim is 5, each with its reason in a comment.
MAX_KIND_CHECKS = 16
# Reading is a method of the state for its users' sake alone; it is imported when it is called.
READ_WHEN_CALLED = (("sketching", "_eigen_sketch"), ("recovery",))


def module_of(path):
    """Return the name of a module as a tuple below the package: () for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


MODULES = {module_of(path): path for path in FILES}


@cache
def tree_of(module):
    return ast.parse(MODULES[module].read_text())


def imports_of(module):
    """Yield each imported module of ours, imports inside functions included."""
    is_package = MODULES[module].name == "__init__.py"
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                head, *rest = alias.name.split(".")
                if head == PACKAGE.name:
                    yield tuple(rest)
        elif isinstance(node, ast.ImportFrom):
            target = tuple(node.module.split(".")) if node.module else ()
            if node.level:
                up = node.level - is_package
                target = module[: len(module) - up] + target
            elif target[:1] == (PACKAGE.name,):
                target = target[1:]
            else:
                continue
            for alias in node.names:
                inner = (*target, alias.name)
                yield inner if inner in MODULES else target


GRAPH = {
    module: {t for t in imports_of(module) if t != module and (module, t) != READ_WHEN_CALLED}
    for module in MODULES
}


def room_of(module):
    return module[:1]


def find_circle(graph):
    """Return a circle of a graph as a list of its nodes, or None."""
    done, path = set(), []

    def visit(node):
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return None
        path.append(node)
        for target in sorted(graph.get(node, ())):
            circle = visit(target)
            if circle:
                return circle
        path.pop()
        done.add(node)
        return None

    return next((c for c in map(visit, sorted(graph)) if c), None)


def names(circle):
    return " -> ".join(".".join(node) or PACKAGE.name for node in circle or [])


def test_circles_are_found():
    assert find_circle({("a",): {("b",)}, ("b",): {("c",)}, ("c",): {("a",)}})
    assert find_circle({("a",): {("b",), ("c",)}, ("b",): {("c",)}}) is None


def test_no_circle_between_modules():
    assert names(find_circle(GRAPH)) == ""


def test_no_circle_between_rooms():
    rooms = {}
    for module, targets in GRAPH.items():
        inside = {room_of(t) for t in targets if room_of(t) not in ((), room_of(module))}
        if module:
            rooms.setdefault(room_of(module), set()).update(inside)
    assert names(find_circle(rooms)) == ""


def test_ground_floor_imports_nothing_of_ours():
    outside = {
        (module, target)
        for module, targets in GRAPH.items()
        for target in targets
        if room_of(module) == ("_base",) and room_of(target) != ("_base",)
    }
    assert outside == set()


def is_private(module):
    return any(part.startswith("_") for part in module)


def test_rooms_are_entered_by_their_init():
    past_the_door = {
        (".".join(module), ".".join(target))
        for module, targets in GRAPH.items()
        for target in targets
        if room_of(target) not in (room_of(module), ("_base",)) and is_private(target)
    }
    assert past_the_door == set()


OUR_CLASSES = {
    node.name
    for module in MODULES
    for node in ast.walk(tree_of(module))
    if isinstance(node, ast.ClassDef)
}


def kind_checks():
    """Yield (file, line, has a comment) of each isinstance against a class of ours."""
    for module, path in MODULES.items():
        if room_of(module) == ("estimator_checks",):
            continue
        lines = path.read_text().splitlines()
        for node in ast.walk(tree_of(module)):
            if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance"):
                continue
            named = {n.id for n in ast.walk(node.args[1]) if isinstance(n, ast.Name)}
            named |= {n.attr for n in ast.walk(node.args[1]) if isinstance(n, ast.Attribute)}
            if named & OUR_CLASSES:
                near = lines[max(node.lineno - 3, 0) : node.end_lineno]
                yield str(path.relative_to(PACKAGE)), node.lineno, any("#" in x for x in near)


def test_kinds_of_ours_are_seldom_told_apart():
    found = list(kind_checks())
    assert len(found) <= MAX_KIND_CHECKS, found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_are_short(path):
    name = str(path.relative_to(PACKAGE))
    if name not in LONG:
        assert len(path.read_text().splitlines()) <= MAX_LINES


def test_stack_levels_are_counted_in_one_place():
    counted = {
        str(path.relative_to(PACKAGE))
        for path in FILES
        if re.search(r"\bstacklevel\s*=", path.read_text())
    }
    assert counted == {"_base/messages.py"}
