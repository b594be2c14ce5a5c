"""Who may import whom (CONTRIBUTING, "Layers"), counting imports inside functions."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

SRC = Path(__file__).parents[1] / "src"
FILES = {
    ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__"): path
    for path in SRC.rglob("*.py")
}

# The drawing of docs/pipeline.md, from below: a package may import those of lower rows,
LAYERS = (
    ("types", "errors"),
    ("io", "weights", "geometry", "options"),
    ("models", "render"),
    ("segment", "pointmap", "reconstruct", "finish", "background", "compose"),
    ("scene", "output"),
    ("pipeline", "crew", "early", "lifting"),
    ("runs", "edit"),
    ("cli", "commands", "webapp", "batch", "testing"),
)
# and of its own row these.
BESIDE = {
    "types": ("errors",),
    "io": ("geometry", "options"),
    "weights": ("io",),
    "reconstruct": ("finish", "compose"),  # raw surfaces thinned, poses fitted
    "scene": ("output",),
    "output": ("scene",),
    "pipeline": ("crew", "early", "lifting"),
    "early": ("lifting",),
    "crew": ("lifting",),
    "cli": ("commands",),
    "commands": ("webapp", "batch"),
}
ROW = {package: row for row, packages in enumerate(LAYERS) for package in packages}


def imports_of(module: str) -> set[str]:
    """The package's own modules that one imports anywhere but for type checking."""
    tree = ast.parse(FILES[module].read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
            # A name that is a module is that module, not its package.
            if all(f"{node.module}.{alias.name}" in FILES for alias in node.names):
                names.discard(node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return (names & FILES.keys()) - {module}


IMPORTS = {module: imports_of(module) for module in FILES}


def package(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def may_import(one: str, other: str) -> bool:
    if one == other:
        return True
    if (one, other) == ("models", "io") or other == "testing":  # no files but weights; for tests
        return False
    if one not in ROW or other not in ROW:
        return True
    return ROW[other] < ROW[one] or other in BESIDE.get(one, ())


def test_no_layer_imports_one_above_it():
    wrong = {
        (module, other)
        for module, others in IMPORTS.items()
        for other in others
        if not may_import(package(module), package(other))
    }
    assert not wrong


def test_no_modules_import_each_other_in_a_circle():
    TopologicalSorter(IMPORTS).prepare()  # raises CycleError, which names the circle
