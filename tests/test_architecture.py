"""The house keeps its shape: who may import whom, how big files are, what importing costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = "deeplense_hf"
# room -> rooms it may import; the root modules are listed under ""
ALLOWED: dict[str, set[str]] = {
    "simulation": set(),
    "augmentation": set(),
    "models": set(),
    "lens_metrics": set(),
    # the bounds within which files are read live with the remote code, which can import nothing
    "data": {"simulation", "models"},
    "tasks": {"data", "models", "lens_metrics"},
    "inference": {"data", "models", "tasks"},
    "evaluation": {"data", "models", "lens_metrics", "tasks", "inference"},
    "hub": {"simulation", "data", "models", "tasks", "inference", "evaluation", "training"},
    "demo": {"simulation", "data", "models", "tasks", "inference", "evaluation"},
    "training": {
        "simulation",
        "data",
        "augmentation",
        "models",
        "lens_metrics",
        "tasks",
        "inference",
        "evaluation",
        "option_parser",
    },
}
FORBIDDEN_NAMES = ("utils", "helpers", "misc", "common", "manager")
MAX_LINES = 420


def _files(root: Path) -> list[Path]:
    return sorted((root / PACKAGE).rglob("*.py"))


def _imports(path: Path) -> list[tuple[str, int]]:
    """Absolute names and levels of everything a file imports, also inside functions."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, 0) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            # the version is what a room may read off the root
            if not (node.module == PACKAGE and names == {"__version__"}):
                found.append((node.module or "", node.level))
    return found


def test_rooms_import_one_way(repository_root: Path) -> None:
    rooms = {path.name for path in (repository_root / PACKAGE).iterdir() if (path / "__init__.py").exists()}
    assert rooms == set(ALLOWED)
    for path in _files(repository_root):
        room = path.relative_to(repository_root / PACKAGE).parts[0]
        if room not in rooms:
            continue
        for name, level in _imports(path):
            assert level <= 1, f"{path} climbs out of its room; import from {PACKAGE}.room.module instead"
            parts = name.split(".")
            if level == 0 and parts[0] == PACKAGE:
                assert len(parts) > 1, f"{path} imports the package root"
                assert parts[1] in ALLOWED[room], f"{path} must not import {name}"


def test_no_cycles_within_a_room(repository_root: Path) -> None:
    for room in ALLOWED:
        graph = {}
        for path in (repository_root / PACKAGE / room).glob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            graph[path.stem] = {
                node.module.split(".")[0]
                for node in tree.body
                if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module
            }
        done: set[str] = set()

        def visit(
            module: str,
            trail: tuple[str, ...],
            room: str = room,
            graph: dict[str, set[str]] = graph,
            done: set[str] = done,
        ) -> None:
            assert module not in trail, f"{room}: import cycle {' -> '.join((*trail, module))}"
            if module not in done:
                for other in graph.get(module, ()):
                    visit(other, (*trail, module))
                done.add(module)

        for module in graph:
            visit(module, ())


def test_files_fit_in_a_head(repository_root: Path) -> None:
    for path in _files(repository_root):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= MAX_LINES, f"{path} has {lines} lines; split it by subject"
        assert not any(word in path.stem.split("_") for word in FORBIDDEN_NAMES), f"{path}: a name that says nothing"


def test_scripts_are_thin_and_shadow_no_library(repository_root: Path) -> None:
    scripts = sorted((repository_root / "scripts").glob("*.py"))
    assert scripts
    for path in scripts:
        assert path.stem not in ("evaluate", "datasets", "accelerate", "torch", "transformers")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), f"{path} needs a manual as its docstring"
        assert len(tree.body) == 3, f"{path}: a docstring, one import, one call"


def test_every_command_and_public_name_exists() -> None:
    import deeplense_hf
    from deeplense_hf.cli import COMMANDS, _load

    for command in COMMANDS.values():
        assert callable(_load(command.function))
        for path in (*command.options, *command.heavy_options):
            assert _load(path).__doc__
    for name in deeplense_hf.__all__:
        assert getattr(deeplense_hf, name) is not None


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import deeplense_hf", ("torch", "transformers", "datasets", "numpy")),
        ("import deeplense_hf.cli", ("torch", "transformers", "datasets", "numpy")),
        ("import deeplense_hf.simulation.recipes", ("torch", "transformers", "datasets", "astropy")),
        ("import deeplense_hf.simulation.simulator", ("transformers", "datasets")),
        *(
            (f"from deeplense_hf.cli import main; main(['{command}', '--help'])", ("torch", "transformers", "datasets"))
            for command in ("train", "simulate", "import", "evaluate", "predict")
        ),
    ],
)
def test_start_up_is_lazy(statement: str, absent: tuple[str, ...]) -> None:
    code = f"import sys\ntry:\n    {statement}\nexcept SystemExit:\n    pass\n"
    code += f"print([name for name in {absent!r} if name in sys.modules], file=sys.stderr)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "[]"
