"""Who may import whom (CONTRIBUTING, "Layers"), counting imports inside functions."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

SRC = Path(__file__).parents[1] / "src"
FILES = {
    ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__"): path
    for path in SRC.rglob("*.py")
}

FRONT = ("cli", "commands", "webapp", "batch", "runs", "edit", "testing")
# What comes out, and a run.
RUN = ("output", "scene", "pipeline")
STAGES = ("segment", "pointmap", "reconstruct", "compose", "finish", "background")
# Package -> those that it must not import.
FORBIDDEN = {
    "errors": (*STAGES, *FRONT, "models", "io", *RUN, "options", "types"),
    "types": (*STAGES, *FRONT, "models", "io", *RUN, "options"),
    "options": (*STAGES, *FRONT, "models", "io", *RUN),
    "geometry": (*STAGES, *FRONT, "models", "io", *RUN, "options"),
    "io": (*STAGES, *FRONT, "models", *RUN),
    "weights": (*STAGES, *FRONT, *RUN),
    "models": (*STAGES, *FRONT, *RUN, "io"),
    "render": (*STAGES, *FRONT, "models", *RUN),
    **dict.fromkeys(STAGES, (*FRONT, *RUN)),
    "output": (*FRONT, "pipeline", "models"),
    "pipeline": FRONT,
    "edit": ("cli", "commands", "webapp", "batch", "runs", "pipeline", "testing"),
    "runs": ("cli", "commands", "webapp", "batch", "testing"),
    "webapp": ("cli", "commands", "batch", "testing"),
    "batch": ("cli", "commands", "webapp", "testing"),
    "commands": ("cli",),
}


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


def test_no_layer_imports_one_above_it():
    wrong = {
        (module, other)
        for module, others in IMPORTS.items()
        for other in others
        if package(other) in FORBIDDEN.get(package(module), ())
    }
    assert not wrong


def test_no_modules_import_each_other_in_a_circle():
    TopologicalSorter(IMPORTS).prepare()  # raises CycleError, which names the circle
