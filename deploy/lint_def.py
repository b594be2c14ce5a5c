"""Check an Apptainer definition file for what `apptainer build` finds late or never.

    python deploy/lint_def.py deploy/sam3d.def

A misspelt section is silently ignored by parsers, a stage may name an image twice, a failed step
may be swallowed. Prints one line a finding, and exits with 1 where there are any.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

# https://apptainer.org/docs/user/main/definition_files.html
SECTIONS = frozenset(
    {"arguments", "environment", "files", "help", "labels", "post", "pre"}
    | {"runscript", "setup", "startscript", "test"}
)
APP_SECTIONS = frozenset(
    {"appenv", "appfiles", "apphelp", "appinstall", "applabels", "apprun", "appstart", "apptest"}
)
HEADERS = frozenset(
    {"bootstrap", "confurl", "fingerprints", "from", "include", "includecmd", "library"}
    | {"mirrorurl", "namespace", "osversion", "product", "registry", "setopt", "stage"}
    | {"updateurl", "user"}
)
# What must not be in a recipe: each with what to do instead.
BANNED = {
    r"\|\|\s*(true|:|echo)\b": "swallows a failure: let the build fail",
    r"\bpip\b.*\bgit\+": "builds from a moving source: install a released wheel",
    r"\b(gcc|g\+\+|build-essential|nvcc|cuda-toolkit)\b": "no compiler belongs in the image",
    r"(?i)(token|password|secret)\s*=\s*\S": "no secrets in an image",
}


@dataclass
class _Stage:
    line: int
    headers: dict[str, str] = field(default_factory=dict)
    sections: set[str] = field(default_factory=set)


def findings(text: str) -> list[str]:
    """What is wrong with a definition, as "12: …" by line; empty where nothing is."""
    found: list[str] = []
    stages: list[_Stage] = []
    in_section = False
    for number, line in enumerate(text.splitlines(), 1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        header = re.fullmatch(r"([A-Za-z]+):\s*(.*)", line)
        if header and header[1].lower() == "bootstrap":
            stages.append(_Stage(line=number, headers={"bootstrap": header[2]}))
            in_section = False
        elif not stages:
            found.append(f"{number}: {content!r} comes before the first Bootstrap")
        elif section := re.match(r"%(\S*)", line):
            in_section = True
            found += _section(section[1].lower(), content, number, stages[-1])
        elif in_section:
            for pattern, reason in BANNED.items():
                if re.search(pattern, content):
                    found.append(f"{number}: {content!r}: {reason}")
        elif not header:
            found.append(f"{number}: {content!r} is neither a header nor in a section")
        elif header[1].lower() not in HEADERS:
            found.append(f"{number}: unknown header {header[1]!r}")
        elif header[1].lower() in stages[-1].headers:
            found.append(f"{number}: {header[1]} a second time in one stage")
        else:
            stages[-1].headers[header[1].lower()] = header[2]
    if not stages:
        return [*found, "1: there is no Bootstrap"]
    return found + _stages(text, stages)


def _section(name: str, content: str, number: int, stage: _Stage) -> list[str]:
    if name in APP_SECTIONS:
        return []
    if name not in SECTIONS:
        return [f"{number}: unknown section %{name}"]
    key = content if name == "files" else name  # `%files` and `%files from build` may both be
    if key in stage.sections:
        return [f"{number}: %{name} a second time in one stage"]
    stage.sections.add(key)
    return []


def _stages(text: str, stages: list[_Stage]) -> list[str]:
    """What only shows when all stages have been read."""
    found = []
    names = [stage.headers.get("stage", "") for stage in stages]
    for stage in stages:
        if not stage.headers.get("from"):
            found.append(f"{stage.line}: a stage without From")
        if len(stages) > 1 and not stage.headers.get("stage"):
            found.append(f"{stage.line}: one of several stages, but without a name")
    found += [
        f"{stage.line}: a second stage {name!r}"
        for k, (stage, name) in enumerate(zip(stages, names, strict=True))
        if name and name in names[:k]
    ]
    for source in re.findall(r"^%files\s+from\s+(\S+)", text, re.MULTILINE):
        if source not in names:
            found.append(f"1: %files from {source}: there is no stage of that name")
    if "test" not in stages[-1].sections:
        found.append(f"{stages[-1].line}: the last stage has no %test")
    defined = set(re.findall(r"^\s+([A-Z_]+)=", text, re.MULTILINE))
    for name in sorted(set(re.findall(r"\{\{\s*(\w+)\s*\}\}", text)) - defined):
        found.append(f"1: {{{{ {name} }}}} has no default in %arguments")
    return found


def main() -> None:
    wrong = [
        f"{path}:{finding}" for path in sys.argv[1:] for finding in findings(Path(path).read_text())
    ]
    sys.stdout.writelines(f"{line}\n" for line in wrong)
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
