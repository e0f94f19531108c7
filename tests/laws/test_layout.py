"""The layout of the package, read from its source: rooms, ground floor, and short files."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import sklearn_sparse_eig

PACKAGE = Path(sklearn_sparse_eig.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 450
# Places where kinds of ours are told apart, each with its reason in a comment near it. Elsewhere a
# method or an attribute answers.
MAX_KIND_CHECKS = 5
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


def words_of(node):
    """Return all names in a piece of source, those after a dot and in strings included."""
    words = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    words |= {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
    return words | {str(n.value) for n in ast.walk(node) if isinstance(n, ast.Constant)}


def other_names(tree, known):
    """Yield names by which a file calls kinds: ``import Kind as Name``, ``NAME = (Kind, Other)``.

    A name of one object, ``NAME = Kind(...)``, is none of a kind.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (a.asname for a in node.names if a.asname and a.name in known)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            is_plain = not any(isinstance(n, ast.Call) for n in ast.walk(node.value))
            if is_plain and {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)} & known:
                yield from (t.id for t in targets if isinstance(t, ast.Name))


def is_type_of(node):
    """Whether it is the type of something: ``type(x)``, its name, or ``x.__class__``."""
    return any(
        (isinstance(n, ast.Call) and getattr(n.func, "id", "") == "type" and len(n.args) == 1)
        or (isinstance(n, ast.Attribute) and n.attr == "__class__")
        for n in ast.walk(node)
    )


def with_other_names(trees, known):
    """Return names of kinds together with all other names that files give them."""
    known = set(known)
    while not known.issuperset(more := {n for tree in trees for n in other_names(tree, known)}):
        known |= more
    return known


def kind_checks(source, known):
    """Yield (line, has a comment) of each place where a file tells kinds of ours apart."""
    tree, lines = ast.parse(source), source.splitlines()
    known = with_other_names([tree], known)
    for node in ast.walk(tree):
        asked = ()
        if isinstance(node, ast.Call) and len(node.args) == 2:
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            asked = node.args[1:] if name in ("isinstance", "issubclass") else ()
        elif isinstance(node, ast.Compare) and any(map(is_type_of, [node.left, *node.comparators])):
            asked = (node,)
        elif isinstance(node, ast.MatchClass):
            asked = (node.cls,)
        if any(words_of(part) & known for part in asked):
            near = lines[max(node.lineno - 3, 0) : node.end_lineno]
            yield node.lineno, any("#" in line for line in near)


def kind_checks_of_the_package():
    # One file may gather kinds under a name that another asks for.
    known = with_other_names([tree_of(module) for module in MODULES], OUR_CLASSES)
    for module, path in MODULES.items():
        if room_of(module) != ("estimator_checks",):
            for line, is_commented in kind_checks(path.read_text(), known):
                yield str(path.relative_to(PACKAGE)), line, is_commented


@pytest.mark.parametrize(
    "source",
    [
        "isinstance(x, Ours)",
        "isinstance(x, int | room.Ours)",
        "builtins.isinstance(x, (int, Ours))",
        "issubclass(kind, Ours)",
        "type(x) is Ours",
        "Ours != type(x)",
        "type(x) in (Ours, int)",
        "x.__class__ is Ours",
        "type(x).__name__ == 'Ours'",
        "from .room import Ours as Theirs\nisinstance(x, Theirs)",
        "KINDS = (int, Ours)\nisinstance(x, KINDS)",
        "KIND = Ours\nKINDS: tuple = (int, KIND)\ntype(x) in KINDS",
        "match x:\n    case Ours():\n        pass",
        "match x:\n    case int() | room.Ours(size=1):\n        pass",
    ],
)
def test_kinds_that_are_told_apart_are_found(source):
    assert [told for _, told in kind_checks(source, {"Ours"})] == [False]
    *head, last = source.splitlines()
    commented = "\n".join(
        ["# They differ.", source] if "match" in source else [*head, "# Why.", last]
    )
    assert [told for _, told in kind_checks(commented, {"Ours"})] == [True]


@pytest.mark.parametrize(
    "source",
    [
        "isinstance(x, Theirs)",
        "type(x) is type(y)",
        "OBJECT = Ours(1)\nx == OBJECT",
        "Ours.isinstance(x)",
        "match x:\n    case Theirs(value=Ours):\n        pass",
    ],
)
def test_what_tells_no_kinds_apart_is_left(source):
    assert list(kind_checks(source, {"Ours"})) == []


@pytest.mark.slow
def test_kinds_of_ours_are_seldom_told_apart():
    found = list(kind_checks_of_the_package())
    assert len(found) <= MAX_KIND_CHECKS, found
    assert [place for *place, is_commented in found if not is_commented] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= MAX_LINES


def test_stack_levels_are_counted_in_one_place():
    counted = {
        str(path.relative_to(PACKAGE))
        for path in FILES
        if re.search(r"\bstacklevel\s*=", path.read_text())
    }
    assert counted == {"_base/messages.py"}
