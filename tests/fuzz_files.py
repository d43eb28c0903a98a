"""Mutated files of all kinds: each loads or raises, none runs code, takes memory or hangs.

    python tests/fuzz_files.py --count 20000 --seed 1

The kinds are archives of `ember.save` and ``torch.save``, files from before PyTorch 1.6, training
checkpoints with an optimiser's state, ``.safetensors`` and IDX files, and pickles that call things.
Files are read with the process's memory bounded, from memory and, some, from the disk with and
without mapping. An exception of another kind than the loaders promise counts as a failure, and so
do a file opened for writing, a process begun, and storages larger than the file.
"""

import argparse
import io
import os
import pickle
import random
import resource
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ember
import numpy as np
import torch
from ember.utils import data, safetensors

REFUSALS = (pickle.UnpicklingError, RuntimeError, ValueError)
MARKS = bytes([0, 1, 0x7F, 0x80, 0xFF]) + b"()[]}.RbtuQhqrcXNJKM\x81\x85\x86\x87\x8a\x93"
SIZES = (0, 1, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1)
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.remove", "os.mkdir", "subprocess.Popen")
WORDS = [b"posix\nsystem\n", b"builtins\neval\n", b"os\nmkdir\n", b"torch\nload\n"]


def mutate(rng: random.Random, contents: bytes, other: bytes) -> bytes:
    """Change a file at one to eight places."""
    out = bytearray(contents)
    for _ in range(rng.choice([1, 1, 1, 2, 4, 8])):
        if not out:
            break
        at, kind = rng.randrange(len(out)), rng.randrange(9)
        if kind == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at] = rng.choice(MARKS)
        elif kind == 2:
            del out[at : at + rng.randrange(1, 20)]
        elif kind == 3:
            out[at:at] = out[rng.randrange(len(out)) :][: rng.randrange(1, 60)]
        elif kind == 4:
            out[at : at + 4] = struct.pack("<I", rng.choice(SIZES) & 0xFFFFFFFF)
        elif kind == 5:
            out[at : at + 8] = struct.pack(rng.choice("<>") + "Q", rng.choice(SIZES))
        elif kind == 6:
            del out[at:]
        elif kind == 7:
            start = rng.randrange(len(other))
            out[at : at + 30] = other[start : start + rng.randrange(1, 60)]
        else:
            out[at:at] = b"c" + rng.choice(WORDS) + b")R"
    return bytes(out)


class Calls:
    """What a pickle that calls something is made from."""

    def __reduce__(self) -> tuple:
        return os.system, ("touch /tmp/ember-fuzz-was-here",)


def checkpoint(library: Any) -> dict[str, Any]:
    model = library.nn.Sequential(library.nn.Linear(3, 4), library.nn.Linear(4, 2))
    optimizer = library.optim.Adam(model.parameters(), lr=0.01)
    model(library.ones(5, 3)).sum().backward()
    optimizer.step()
    return {"epoch": 3, "model": model.state_dict(), "optimizer": optimizer.state_dict()}


def written(save: Callable[..., None], *args: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    save(*args, buffer, **options)
    return buffer.getvalue()


def originals(folder: Path) -> dict[str, list[bytes]]:
    """Files of each kind, by the end of their names."""
    contents = {"a": ember.arange(30.0)[2:9], "b": [ember.ones(2, 2), {"c": (1, "x")}, b"bytes"]}
    theirs = {"a": torch.arange(30.0)[2:9], "b": [torch.ones(2, 2).bool(), {"c": (1, "x")}, 2.5]}
    old = {"_use_new_zipfile_serialization": False}
    path = folder / "x.safetensors"
    safetensors.save_file({"w": ember.ones(3, 4), "b": ember.arange(5)}, path, {"note": "x"})
    idx = b"\0\0\x08\x03" + struct.pack(">3I", 2, 3, 4) + bytes(range(24))
    return {
        ".pt": [
            written(ember.save, contents),
            written(ember.save, checkpoint(ember)),
            written(torch.save, theirs),
            written(torch.save, checkpoint(torch)),
        ],
        ".pth": [
            written(torch.save, theirs, **old),
            written(torch.save, checkpoint(torch), **old),
            written(torch.save, theirs, pickle_protocol=4, **old),
            written(torch.save, [Calls()], **old),
        ],
        ".safetensors": [path.read_bytes()],
        ".idx": [
            idx,
            b"\0\0\x0d\x01" + struct.pack(">I", 5) + np.arange(5.0, dtype=">f4").tobytes(),
        ],
    }


def tensors(value: Any) -> Iterator[Any]:
    if isinstance(value, ember.Tensor):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from tensors(part)
    elif isinstance(value, list | tuple | set):
        for part in value:
            yield from tensors(part)


def read(kind: str, contents: bytes, path: Path, rng: random.Random) -> Any:
    from_disk = kind not in (".pt", ".pth") or rng.random() < 0.3
    if not from_disk:
        return ember.load(io.BytesIO(contents), map_location="cpu")
    if kind == ".safetensors":
        return safetensors.load_file(path)
    if kind == ".idx":
        return data.read_idx(path)
    return ember.load(path, map_location="cpu", mmap=rng.random() < 0.5)


class Watch:
    """Notes what a loader must not do: begin processes, change files."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self._note)

    def _note(self, event: str, args: tuple) -> None:
        if self.on:
            writes = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
            if writes or event.startswith(FORBIDDEN):
                self.seen.append(f"{event}{args!r:.100}")


def one(kind: str, contents: bytes, path: Path, rng: random.Random, watch: Watch) -> str:
    """Read one file; return what came of it, or raise AssertionError."""
    path = path.with_suffix(kind)
    path.write_bytes(contents)
    watch.on = True
    try:
        value = read(kind, contents, path, rng)
    except REFUSALS:
        return "refused"
    finally:
        watch.on = False
    seen = {t.data_ptr(): t.untyped_storage().nbytes() for t in tensors(value)}
    assert sum(seen.values()) <= len(contents), f"storages of {sum(seen.values())} bytes"
    return "loaded"


def run(count: int, seed: int, megabytes: int = 1024) -> Counter:
    """Read ``count`` mutated files; return how many of each kind loaded and were refused.

    Raises
    ------
    AssertionError
        A file led to something else; the message says which.
    """
    watch, outcomes = Watch(), Counter()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "mutant"
        files = [(k, c) for k, contents in originals(Path(name)).items() for c in contents]
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        before = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (used + (megabytes << 20), before[1]))
        try:
            for i in range(count):
                rng = random.Random(f"{seed} {i}")
                kind, contents = rng.choice(files)
                mutant = mutate(rng, contents, rng.choice(files)[1])
                begin = time.monotonic()
                try:
                    outcome = one(kind, mutant, path, rng, watch)
                except BaseException as error:
                    text = f"file {i} of seed {seed} ({kind}, {len(mutant)} bytes): {error!r}"
                    raise AssertionError(text) from error
                assert not watch.seen, f"file {i} of seed {seed} ({kind}): {watch.seen}"
                took = time.monotonic() - begin
                assert took < 5, f"file {i} of seed {seed} ({kind}) took {took:.1f} s"
                outcomes[kind, outcome] += 1
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    outcomes = run(arguments.count, arguments.seed)
    for (kind, outcome), count in sorted(outcomes.items()):
        print(f"{kind:13} {outcome:8} {count}")
    print(f"{sum(outcomes.values())} files, each loaded or refused")


if __name__ == "__main__":
    main()
