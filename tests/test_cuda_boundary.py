"""The CUDA library without a GPU: it loads, says which kernels it has, and why no device is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import ember
import pytest

LIBRARY = Path(ember.__file__).parent / "libember_cuda.so"

FLOATS = {"float32", "float64"}
HALVES = {"float16", "bfloat16"}
COMPLEX = {"complex64", "complex128"}
# Kernels whose complex dtypes alone CUDA lacks.
COMPLEX_ALONE = (
    "add addcdiv addcmul mul div pow eq ne where copy index_put scatter_add logical_and logical_or "
    "logical_xor logical_not isnan isinf isfinite neg square reciprocal abs sign exp exp2 expm1 log "
    "log2 log10 log1p sqrt rsqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh sigmoid "
    "prod conj angle cumprod"
).split()
# Kernels that the CPU has and CUDA lacks: slots, dtypes and the reason. Later work empties it.
NUMBERS = "complex numbers have no kernels of their own there"
RECURRENT = "recurrent layers run by their formula there; the fused one is not written"
ATTENTION = "attention runs by its formula there; the fused one is not written"
FOURIER = "Fourier transforms run on the CPU so far"
POINTS = "images are read at points by the formula there"
FACTORS = "factorisations are the CPU's"
CROSS = "cross products run by their formula there"
PRODUCTS = "sparse products are the CPU's so far"
MISSING: dict[str, tuple[set[str], str]] = {
    "rnn": (FLOATS, RECURRENT),
    "rnn_backward": (FLOATS, RECURRENT),
    "attention": (FLOATS | HALVES, ATTENTION),
    "attention_backward": (FLOATS | HALVES, ATTENTION),
    "fourier": (FLOATS, FOURIER),
    "grid_sample": (FLOATS, POINTS),
    "grid_sample_backward": (FLOATS, POINTS),
    **dict.fromkeys(
        ("lu_factor", "exchange_rows", "substitute", "cholesky", "qr_factor", "reflect"),
        (FLOATS | COMPLEX, FACTORS),
    ),
    "cross": (FLOATS, CROSS),
    "sparse_matmul": (FLOATS, PRODUCTS),
    "sparse_sample": (FLOATS, PRODUCTS),
    "complex": (FLOATS, NUMBERS),
    **dict.fromkeys(COMPLEX_ALONE, (COMPLEX, NUMBERS)),
}

built = pytest.mark.skipif(not LIBRARY.exists(), reason="this build has no CUDA library")
without_gpu = pytest.mark.skipif(ember.cuda.is_available(), reason="there is a GPU")


def run(code: str, **environment: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


@built
def test_cuda_serves_what_the_cpu_serves_but_for_a_list_with_reasons():
    missing = {}
    slots = ember._C._kernel_slots()
    assert len(slots) > 100
    for name, cpu, cuda in slots:
        if lacking := set(cpu) - set(cuda):
            missing.setdefault(name, set()).update(lacking)
    assert missing == {name: dtypes for name, (dtypes, _) in MISSING.items()}


@built
def test_each_slot_of_cuda_is_one_of_the_cpus():
    extra = [(n, set(cuda) - set(cpu)) for n, cpu, cuda in ember._C._kernel_slots()]
    assert not [(n, d) for n, d in extra if d]


@built
def test_library_exports_one_symbol_and_links_no_driver():
    def lines(*command: str) -> list[str]:
        return subprocess.run(
            command, check=True, capture_output=True, text=True
        ).stdout.splitlines()

    exported = [
        line.split()[-1] for line in lines("nm", "-D", "--defined-only", str(LIBRARY)) if line
    ]
    assert exported == ["ember_cuda_init"]
    needed = [line for line in lines("readelf", "-d", str(LIBRARY)) if "NEEDED" in line]
    assert needed
    assert not any(name in line for line in needed for name in ("cuda.", "cudart", "cublas"))


@without_gpu
def test_unavailable_with_the_loaders_words():
    assert ember.cuda.is_available() is False
    assert ember.cuda.device_count() == 0
    reason = ember.cuda.unavailable_reason()
    expected = "driver" if LIBRARY.exists() else "no CUDA library"
    assert expected in reason
    for call in (
        lambda: ember.zeros(3, device="cuda"),
        lambda: ember.ones(2).cuda(),
        lambda: ember.ones(2).to("cuda:0"),
        lambda: ember.tensor([1.0], device="cuda"),
        lambda: ember.Generator("cuda"),
        lambda: ember.nn.Linear(2, 2).cuda(),
        ember.cuda.synchronize,
        ember.cuda.current_device,
        ember.cuda.current_stream,
        ember.cuda.Stream,
        ember.cuda.memory_allocated,
        ember.cuda.get_device_name,
    ):
        with pytest.raises(RuntimeError) as caught:
            call()
        assert reason in str(caught.value)


@without_gpu
def test_calls_that_programs_make_without_asking_do_nothing():
    ember.cuda.empty_cache()
    ember.cuda.manual_seed(1)
    ember.cuda.manual_seed_all(1)
    x = ember.ones(2)
    assert x.pin_memory() is x
    assert not x.is_pinned()


def test_library_of_another_build_is_refused(tmp_path):
    """A library that answers with a reason is not used, and the reason is told."""
    source = tmp_path / "other.cpp"
    source.write_text(
        'extern "C" const char* ember_cuda_init(const char*, const void*, void*) {\n'
        '    return "the library is of another build";\n}\n'
    )
    package = tmp_path / "ember"
    package.mkdir()
    for file in Path(ember.__file__).parent.iterdir():
        if file.name != LIBRARY.name:
            (package / file.name).symlink_to(file)
    (package / "libember.so").unlink()
    (package / "libember.so").write_bytes(LIBRARY.with_name("libember.so").read_bytes())
    (package / "_C.so").unlink(missing_ok=True)
    for file in list(package.glob("_C.*.so")):
        content = file.read_bytes()
        file.unlink()
        file.write_bytes(content)
    subprocess.run(
        ["g++", "-shared", "-fPIC", str(source), "-o", str(package / LIBRARY.name)], check=True
    )
    code = "import ember; print(ember.cuda.is_available(), ember.cuda.unavailable_reason())"
    told = run(code, PYTHONPATH=str(tmp_path))
    assert told.startswith("False")
    assert "of another build" in told


def test_import_loads_nothing_of_cuda():
    code = (
        "import ember, sys, json\n"
        "maps = open('/proc/self/maps').read()\n"
        "print(json.dumps(['ember_cuda' in maps, 'libcuda' in maps, 'ember.cuda' in sys.modules]))"
    )
    assert json.loads(run(code)) == [False, False, False]


def test_devices_of_the_cpu_are_one():
    x = ember.ones(3)
    assert x.to("cpu") is x
    assert x.cpu() is x
    with pytest.raises(RuntimeError, match="cuda"):
        x.to("cuda:99")
