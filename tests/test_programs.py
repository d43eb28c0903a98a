"""What programs around a model use: downloads, processes, trees, questions about the machine."""

import collections
import hashlib
import http.server
import os
import signal
import threading

import ember as torch
import ember.multiprocessing as mp
import pytest
from ember.utils import _pytree as pytree


@pytest.fixture
def server(tmp_path):
    """A web server over a folder; `/short` promises more bytes than it sends."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=folder)

        def do_GET(self):
            if self.path != "/short":
                return super().do_GET()
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"x" * 50)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{served.server_port}"
        served.shutdown()
        thread.join()


def test_weights_from_a_url_are_fetched_once_and_checked(server, tmp_path, monkeypatch):
    folder, url = server
    torch.save({"w": torch.arange(3.0)}, folder / "net.pth")
    digest = hashlib.sha256((folder / "net.pth").read_bytes()).hexdigest()
    (folder / "net.pth").rename(folder / f"net-{digest[:8]}.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    assert torch.hub.get_dir() == str(tmp_path / "home" / "hub")

    address = f"{url}/net-{digest[:8]}.pth"
    loaded = torch.hub.load_state_dict_from_url(address, progress=False, check_hash=True)
    assert loaded["w"].tolist() == [0, 1, 2]
    (folder / f"net-{digest[:8]}.pth").unlink()
    again = torch.utils.model_zoo.load_url(address, progress=False, check_hash=True)
    assert again["w"].tolist() == [0, 1, 2]


def test_a_download_that_fails_leaves_the_old_file(server, tmp_path):
    folder, url = server
    (folder / "data").write_bytes(b"new")
    target = tmp_path / "target"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="SHA-256 beginning with 00000"):
        torch.hub.download_url_to_file(f"{url}/data", target, "00000", progress=False)
    with pytest.raises(RuntimeError, match="expected 100 bytes, got 50"):
        torch.hub.download_url_to_file(f"{url}/short", target, progress=False)
    with pytest.raises(OSError):
        torch.hub.download_url_to_file(f"{url}/nothing", target, progress=False)
    assert target.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["served", "target"]
    torch.hub.download_url_to_file(f"{url}/data", target, progress=True)
    assert target.read_bytes() == b"new"


def test_models_of_a_local_folder(tmp_path):
    (tmp_path / "sizes.py").write_text("WIDTH = 3\n")
    (tmp_path / "hubconf.py").write_text(
        "from ember import nn\nfrom sizes import WIDTH\n\n"
        "def net(out=1):\n    'A layer.'\n    return nn.Linear(WIDTH, out)\n"
    )
    net = torch.hub.load(tmp_path, "net", source="local", trust_repo=True, out=2)
    assert net.weight.shape == (2, 3)
    assert "net" in torch.hub.list(tmp_path, source="local")
    assert torch.hub.help(tmp_path, "net", source="local") == "A layer."
    with pytest.raises(RuntimeError, match="no function 'other'"):
        torch.hub.load(tmp_path, "other", source="local")
    with pytest.raises(FileNotFoundError, match=r"hubconf\.py"):
        torch.hub.load(tmp_path / "nowhere", "net", source="local")
    with pytest.raises(NotImplementedError, match="local"):
        torch.hub.load("owner/name", "net")


def _save_square(index, folder):
    torch.save(torch.tensor(index) ** 2, os.path.join(folder, f"{index}.pt"))


def _raise_in_second(index):
    if index == 1:
        raise ValueError("of the second")


def _kill(index):
    os.kill(os.getpid(), signal.SIGKILL)


def _raise_at_length(index):
    raise ValueError("x" * (1 << 20) + "deep")


def _exit(index):
    os._exit(7)


def test_spawned_processes(tmp_path):
    mp.spawn(_save_square, args=(str(tmp_path),), nprocs=2)
    assert [torch.load(tmp_path / f"{i}.pt").item() for i in range(2)] == [0, 1]
    with pytest.raises(mp.ProcessRaisedException, match=r"process 1 raised(.|\n)*of the second"):
        mp.start_processes(_raise_in_second, nprocs=2, start_method="fork")
    with pytest.raises(mp.ProcessExitedException, match="exit code 7") as caught:
        mp.start_processes(_exit, nprocs=1, start_method="fork")
    assert caught.value.exit_code == 7 and caught.value.error_index == 0
    context = mp.start_processes(_raise_in_second, nprocs=1, join=False, start_method="fork")
    assert len(context.pids()) == 1
    while not context.join(timeout=60):
        pass
    with pytest.raises(mp.ProcessExitedException, match="exit code -9"):
        mp.start_processes(_kill, nprocs=2, start_method="fork")
    with pytest.raises(mp.ProcessRaisedException, match="deep"):
        mp.start_processes(_raise_at_length, nprocs=1, start_method="fork")
    context = mp.start_processes(_save_square, (str(tmp_path),), join=False, start_method="fork")
    context.processes[0].join()
    assert context.join(60) and context.join()
    with pytest.raises(ValueError, match="set_sharing_strategy"):
        mp.set_sharing_strategy("telepathy")


Pair = collections.namedtuple("Pair", "a b")

TREES = {
    "leaf": 3,
    "none": None,
    "nested": {"b": [1, 2, (3,)], "a": Pair(4, None), "c": ()},
    "ordered": collections.OrderedDict([("z", 1), ("y", [2])]),
    "default": collections.defaultdict(list, {"x": 6, "w": {"v": 7}}),
    "deque": collections.deque([5, (6, 7)], maxlen=3),
}


@pytest.mark.parametrize("name", TREES)
def test_trees(name):
    tree = TREES[name]
    leaves, spec = pytree.tree_flatten(tree)
    again = pytree.tree_unflatten(leaves, spec)
    assert again == tree and type(again) is type(tree)
    assert spec.num_leaves == len(leaves) and pytree.tree_structure(again) == spec
    doubled = pytree.tree_map(lambda x, y: (x, y), tree, tree)
    pairs = pytree.tree_leaves(doubled, is_leaf=lambda x: type(x) is tuple and len(x) == 2)
    if name != "deque":  # a pair of its own is in there
        assert pairs == [(x, x) for x in leaves]
    theirs = pytest.importorskip("torch.utils._pytree")
    assert theirs.tree_flatten(tree)[0] == leaves
    assert theirs.tree_map(lambda x, y: (x, y), tree, tree) == doubled


def test_trees_of_other_structure_are_refused():
    with pytest.raises(ValueError, match="tree_map"):
        pytree.tree_map(max, [1, 2], [1])
    with pytest.raises(ValueError, match="tree_map"):
        pytree.tree_map(max, {"a": 1}, [1])
    with pytest.raises(ValueError, match="expected 2 leaves, got 1"):
        pytree.tree_unflatten([1], pytree.tree_structure([1, 2]))
    with pytest.raises(ValueError, match="registered"):
        pytree.register_pytree_node(list, lambda x: (x, None), lambda x, _: x)


def test_trees_of_registered_classes_and_by_type():
    class Box:
        def __init__(self, value):
            self.value = value

    pytree.register_pytree_node(Box, lambda b: ([b.value], None), lambda c, _: Box(*c))
    assert pytree.tree_map(lambda x: x + 1, Box([1])).value == [2]
    assert pytree.tree_map_only(int, lambda x: -x, [1, 2.5, True]) == [-1, 2.5, -1]
    assert pytree.tree_map_only(lambda x: x > 1, lambda x: -x, [1, 2.5]) == [1, -2.5]
    assert pytree.tree_any(lambda x: x > 2, [1, [3]]) and not pytree.tree_all(bool, [1, [0]])


def test_questions_about_the_machine():
    assert torch.compiler.is_compiling() is False
    assert torch.onnx.is_in_onnx_export() is False
    assert torch.distributed.is_available() is False
    found = torch.accelerator.current_accelerator()
    assert (found is not None) == torch.cuda.is_available() == torch.accelerator.is_available()
    with pytest.raises(NotImplementedError, match=r"torch\.onnx\.export"):
        torch.onnx.export(None, (), "x.onnx")
