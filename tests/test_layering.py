"""The house rules of the source tree: who includes whom, and what a level's objects export."""

import ast
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
PACKAGE = ROOT / "python" / "ember"

MAX_LINES = 600
LONGER_FILES: set[str] = set()  # paths that may be longer, with the reason beside them

# What a layer may include: paths below csrc without suffix; "x/" stands for a whole folder.
KERNEL_VIEW = {"core/macros", "core/dtype", "core/device", "core/view", "core/table", "core/random"}
BACKEND = KERNEL_VIEW | {"kernels/", "core/error", "core/parallel"}
LAYERS = {
    "core": {"core/"},
    "kernels": KERNEL_VIEW | {"kernels/"},
    "cpu": BACKEND | {"cpu/", "cpu_families"},
    "cuda": BACKEND | {"cuda/"},
    "autograd": {"core/", "autograd/"},
    "ops": {"core/", "autograd/", "kernels/", "ops/"},
    "python": {"core/", "autograd/", "kernels/", "ops/", "python/"},
}
# Files that meet a backend's kernels with the core's table of levels.
EXTRA = {
    "cpu/register.cpp": {"core/isa", "core/backend"},
    "cpu/isa.cpp": {"core/isa"},
    "core/backend.cpp": {"ember_build_id"},
    "cuda/library.cu": {"ember_build_id", "cuda_families"},
    "cuda/runtime.h": {"core/backend"},
}

CUDA_HEADER = re.compile(
    r"(cuda\w*|cu(blas|dnn|rand|fft|solver|sparse)\w*|nccl|nvrtc)\.h|(cub|thrust)/"
)
PYTHON_HEADER = re.compile(r"Python\.h|pybind11/|structmember\.h|numpy/")
INTRINSIC_HEADER = re.compile(r"\w*(mmintrin|intrin)\.h|arm_(neon|sve)\.h")
INTRINSIC = re.compile(r"\b(_mm(256|512)?_\w+|__m(128|256|512)\w*|_tile_\w+)\b")
# The vector type, the matrix product's microkernels and the tile kernels.
MAY_USE_INTRINSICS = re.compile(r"cpu/(vec\w*\.h|\w*micro\w*\.h|\w+_amx\.(h|cpp))")

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


def cpp_files(*folders):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".h", ".cpp", ".cu", ".cuh", ".inc"}:
                yield path


def sources():
    """(path below csrc, quoted includes, angle includes, text without comments) of each file."""
    for path in cpp_files("csrc"):
        text = path.read_text()
        quoted, angle = [], []
        for local, system in INCLUDE.findall(text):
            (quoted if local else angle).append(local or system)
        yield path.relative_to(CSRC).as_posix(), quoted, angle, COMMENT.sub("", text)


def may_include(allowed, header):
    stem = header.rsplit(".", 1)[0]
    return any(stem.startswith(rule) if rule.endswith("/") else stem == rule for rule in allowed)


def test_layers_include_only_what_they_may_know():
    wrong = []
    for name, quoted, _, _ in sources():
        layer = name.split("/")[0]
        assert layer in LAYERS, f"csrc/{name}: a folder is a layer, and {layer} is none"
        allowed = LAYERS[layer] | EXTRA.get(name, set())
        wrong += [f"{name} includes {h}" for h in quoted if not may_include(allowed, h)]
    assert not wrong, "\n".join(wrong)


def test_headers_of_other_worlds_stay_in_their_layer():
    wrong = []
    for name, quoted, angle, _ in sources():
        layer = name.split("/")[0]
        for header in quoted + angle:
            foreign = (
                (PYTHON_HEADER.match(header) and layer != "python")
                or (CUDA_HEADER.match(header) and layer != "cuda")
                or (INTRINSIC_HEADER.match(header) and not MAY_USE_INTRINSICS.fullmatch(name))
            )
            if foreign:
                wrong.append(f"{name} includes {header}")
    assert not wrong, "\n".join(wrong)


def test_intrinsics_stay_in_vector_headers_and_microkernels():
    wrong = [
        f"{name} uses {match[0]}"
        for name, _, _, code in sources()
        if not MAY_USE_INTRINSICS.fullmatch(name)
        for match in [INTRINSIC.search(code)]
        if match
    ]
    assert not wrong, "\n".join(wrong)


def imported_modules(path):
    """Absolute names of the modules that a file of the package imports."""
    package = ("ember", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("optim", {"ember.nn", "ember.utils.data"}),
        ("nn", {"ember.optim", "ember.utils.data"}),
        ("utils/data", {"ember.nn", "ember.optim"}),
    ],
)
def test_python_packages_import_only_what_they_may_know(folder, forbidden):
    files = sorted((PACKAGE / folder).rglob("*.py"))
    assert files, f"python/ember/{folder} has no files"
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {module}"
        for path in files
        for module in imported_modules(path)
        if any(module == name or module.startswith(name + ".") for name in forbidden)
    ]
    assert not wrong, "\n".join(wrong)


def test_files_are_short():
    python = [p for d in ("python", "tests", "bench", "examples") for p in (ROOT / d).rglob("*.py")]
    cpp = cpp_files("csrc", "tests/cpp", "bench/native")
    long = {
        name: lines
        for path in [*cpp, *python]
        for name in [path.relative_to(ROOT).as_posix()]
        for lines in [len(path.read_text().splitlines())]
        if lines > MAX_LINES and name not in LONGER_FILES
    }
    assert not long, f"longer than {MAX_LINES} lines (each is two things): {long}"


# ---- Objects of the instruction-set levels

# Any object with exception tables holds this pointer to the runtime's personality routine.
HARMLESS_WEAK = {"DW.ref.__gxx_personality_v0"}


def level_objects():
    """(level, stem of the source, path) for each kernel object in the build tree."""
    build = Path(os.environ.get("EMBER_BUILD_DIR", ROOT / "build"))
    for path in sorted(build.glob("CMakeFiles/ember_cpu_*.dir/csrc/cpu/*.o")):
        stem = path.name.split(".")[0]
        if (CSRC / "cpu" / f"{stem}.cpp").exists():  # the object of a deleted file may linger
            yield path.parts[-4].removeprefix("ember_cpu_").removesuffix(".dir"), stem, path


@pytest.fixture(scope="module")
def objects():
    found = list(level_objects())
    if not found:
        assert "EMBER_BUILD_DIR" not in os.environ, "EMBER_BUILD_DIR has no kernel objects"
        pytest.skip("no build tree: set EMBER_BUILD_DIR or build in build/")
    return found


def run_tool(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_level_objects_share_no_symbol_between_levels(objects):
    """What has external linkage stands in its level's namespace, or the linker may mix levels."""
    wrong = []
    for level, stem, path in objects:
        expected = f"ember::cpu::{level}::register_{stem}(ember::Table&)"
        defined = []
        for line in run_tool("nm", "--demangle", "--defined-only", str(path)).splitlines():
            kind, name = line[16:].strip().split(" ", 1)
            if (kind.isupper() or kind in "uvw") and name not in HARMLESS_WEAK:
                defined.append((kind, name))
        here = f"ember::cpu::{level}::"
        extra = [d for d in defined if d[0] in "uvwVW" or not d[1].startswith(here)]
        missing = [] if ("T", expected) in defined else [expected]
        if extra or missing:
            wrong.append(f"{level} {stem}: also defines {extra[:5]}, lacks {missing}")
    assert not wrong, "\n".join(wrong)


def test_level_objects_run_nothing_at_load_time(objects):
    wrong = [
        f"{level} {stem} has a section {match[0]}"
        for level, stem, path in objects
        for match in [
            re.search(
                r"\.(init_array|preinit_array|ctors)\b", run_tool("readelf", "-SW", str(path))
            )
        ]
        if match
    ]
    assert not wrong, "\n".join(wrong)
