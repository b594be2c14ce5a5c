"""Who may import whom (CONTRIBUTING, "Layers"), counting imports inside functions.

What does not keep to the rules yet is listed below by name. The lists may only get shorter: an
entry that is no longer needed fails too.
"""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
FILES = {
    ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__"): path
    for path in SRC.rglob("*.py")
}

FRONT = ("cli", "commands", "webapp", "batch", "runs", "edit", "testing")
STAGES = ("segment", "pointmap", "reconstruct", "compose", "finish", "background")
# Package -> those that it must not import.
FORBIDDEN = {
    "errors": (*STAGES, *FRONT, "models", "io", "output", "pipeline", "options", "types"),
    "types": (*STAGES, *FRONT, "models", "io", "output", "pipeline", "options"),
    "options": (*STAGES, *FRONT, "models", "io", "output", "pipeline"),
    "geometry": (*STAGES, *FRONT, "models", "io", "output", "pipeline", "options"),
    "io": (*STAGES, *FRONT, "models", "output", "pipeline"),
    "weights": (*STAGES, *FRONT, "output", "pipeline"),
    "models": (*STAGES, *FRONT, "output", "pipeline", "io"),
    "render": (*STAGES, *FRONT, "models", "output", "pipeline"),
    **dict.fromkeys(STAGES, (*FRONT, "output", "pipeline")),
    "output": (*FRONT, "pipeline", "models"),
    "pipeline": FRONT,
    "edit": ("cli", "commands", "webapp", "batch", "runs", "pipeline", "testing"),
    "runs": ("cli", "commands", "webapp", "batch", "testing"),
    "webapp": ("cli", "commands", "batch", "testing"),
    "batch": ("cli", "commands", "webapp", "testing"),
    "commands": ("cli",),
}

# Convenience that looks upwards when it is called: `Scene.save`.
UPWARDS = {("scenelift.types", "scenelift.output.scene")}
NOT_YET = {
    ("scenelift.finish.prune", "scenelift.render.turntable"),
    ("scenelift.render.contribution", "scenelift.render.turntable"),
    ("scenelift.models.embedded.depth_head", "scenelift.geometry.default_camera"),
    ("scenelift.models.embedded.nanodet", "scenelift.models.embedded.box_fusion"),
    ("scenelift.models.embedded.ssd", "scenelift.models.embedded.box_fusion"),
    ("scenelift.models.embedded.ssd", "scenelift.models.embedded.classes"),
}
CIRCLES_NOT_YET = {
    ("scenelift.batch.journal", "scenelift.batch.ledger"),
    ("scenelift.reconstruct", "scenelift.crew"),
    ("scenelift.finish.bake_torch", "scenelift.finish.bake"),
    ("scenelift.finish.bake_triton", "scenelift.finish.bake"),
    ("scenelift.webapp.records", "scenelift.webapp.lifting"),
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
    assert wrong == UPWARDS | NOT_YET


def test_no_modules_import_each_other_in_a_circle():
    allowed = UPWARDS | CIRCLES_NOT_YET
    graph = {
        module: {other for other in others if (module, other) not in allowed}
        for module, others in IMPORTS.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("edge", sorted(CIRCLES_NOT_YET | UPWARDS))
def test_every_excuse_for_a_circle_is_still_needed(edge):
    allowed = (UPWARDS | CIRCLES_NOT_YET) - {edge}
    if edge[0].startswith("scenelift.finish.bake_"):  # each of the two closes the same circle
        assert edge[1] in IMPORTS[edge[0]]
        return
    graph = {m: {o for o in others if (m, o) not in allowed} for m, others in IMPORTS.items()}
    with pytest.raises(CycleError):
        TopologicalSorter(graph).prepare()
