import gzip
import os
import struct

import numpy as np
import pytest
from ember.utils import data
from torch_bridge import to_torch

pytest.importorskip("torch")


def idx_bytes(array, code):
    header = struct.pack(">HBB", 0, code, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize(
    ("dtype", "code"),
    [("u1", 8), ("i1", 9), ("i2", 11), ("i4", 12), ("f4", 13), ("f8", 14)],
)
@pytest.mark.parametrize("packed", [False, True])
def test_idx_files(tmp_path, dtype, code, packed):
    for shape in ((5,), (2, 3, 4), (0, 7)):
        array = (np.arange(np.prod(shape)) - 3).astype(dtype).reshape(shape)
        content = idx_bytes(array, code)
        path = tmp_path / "file"
        path.write_bytes(gzip.compress(content) if packed else content)
        out = data.read_idx(path)
        assert to_torch(out).numpy().dtype == array.dtype
        np.testing.assert_array_equal(to_torch(out).numpy(), array)


@pytest.mark.parametrize("packed", [False, True])
def test_bad_idx_files(tmp_path, packed):
    good = idx_bytes(np.arange(24, dtype=np.uint8).reshape(2, 3, 4), 8)
    huge = b"\0\0\x0e\3" + b"\xff" * 12
    cases = {
        "not an IDX file": [
            b"",
            b"\0\0",
            b"\1" + good[1:],
            b"\0\0\x0a\1" + good[4:],
            b"\0\0\x08\0",
        ],
        "ends in its header": [good[:4], good[:15]],
        "needs 24 bytes after the header, got 23": [good[:-1]],
        "needs 24 bytes after the header, got more": [good + b"\0"],
        "got 100": [huge + b"x" * 100],
    }
    path = tmp_path / "bad-idx"
    for match, contents in cases.items():
        for content in contents:
            path.write_bytes(gzip.compress(content) if packed else content)
            with pytest.raises(ValueError, match=match) as caught:
                data.read_idx(path)
            assert "bad-idx" in str(caught.value)
    with pytest.raises(FileNotFoundError):
        data.read_idx(tmp_path / "missing")


def test_damaged_gzip(tmp_path):
    packed = gzip.compress(idx_bytes(np.zeros(1000, np.uint8), 8) + os.urandom(100))
    path = tmp_path / "x.gz"
    for content in (packed[:20], packed[:-4], packed[:30] + b"\xff\xff" + packed[32:]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"damaged|needs|not an IDX"):
            data.read_idx(path)


def write_folder(folder, sizes=(6, 6, 4, 4)):
    rng = np.random.default_rng(0)
    names = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"]
    names += [n.replace("train", "t10k") for n in names]
    for name, n in zip(names, sizes, strict=True):
        shape = (n, 28, 28) if "images" in name else (n,)
        content = idx_bytes(rng.integers(0, 10, shape).astype(np.uint8), 8)
        (folder / (name + ".gz")).write_bytes(gzip.compress(content))


def test_idx_folders(tmp_path):
    write_folder(tmp_path)
    shapes = [tuple(t.shape) for t in data.load_idx_folder(tmp_path)]
    assert shapes == [(6, 28, 28), (6,), (4, 28, 28), (4,)]
    (tmp_path / "t10k-labels-idx1-ubyte.gz").rename(tmp_path / "t10k-labels.idx1-ubyte.gz")
    assert len(data.load_idx_folder(tmp_path)[3]) == 4
    write_folder(tmp_path, (6, 5, 4, 4))
    with pytest.raises(ValueError, match="train images"):
        data.load_idx_folder(tmp_path)
    for path in tmp_path.glob("t10k-images*"):
        path.unlink()
    with pytest.raises((FileNotFoundError, ValueError)):
        data.load_idx_folder(tmp_path)
