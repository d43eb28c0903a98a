"""Programs written for PyTorch run on Ember, by `ember.as_torch` and `python -m ember.as_torch`."""

import subprocess
import sys
import textwrap

import pytest


def run(*arguments: str, code: str | None = None) -> subprocess.CompletedProcess:
    """Run Python in a process of its own, in which PyTorch could be imported too."""
    text = [] if code is None else ["-c", textwrap.dedent(code)]
    return subprocess.run(
        [sys.executable, *text, *arguments], capture_output=True, text=True, timeout=120
    )


def check(code: str) -> None:
    done = run(code=code)
    assert done.returncode == 0, done.stderr


def test_torch_is_the_same_module_objects():
    check(
        """
        import ember, sys
        ember.as_torch()
        import torch, torch.nn.functional as F, torch.utils.data
        from torch.optim.lr_scheduler import StepLR
        from torch import nn
        assert torch is ember and nn is ember.nn and F is ember.nn.functional
        assert StepLR is ember.optim.lr_scheduler.StepLR
        twice = [n for n in sys.modules if n.startswith("torch.")
                 and sys.modules[n] is not sys.modules.get("ember" + n[5:], sys.modules[n])]
        assert not twice, twice
        assert ember.nn.functional.__spec__.name == "ember.nn.functional"
        assert not hasattr(ember.nn.functional, "__path__")
        """
    )


def test_version_and_distribution_are_those_of_the_pytorch_it_stands_for():
    check(
        """
        import ember, importlib.metadata, importlib.util
        own = ember.__version__
        ember.as_torch()
        ember.as_torch()  # changes nothing
        import torch
        assert torch.__version__ == f"2.13.0+ember{own}", torch.__version__
        assert importlib.metadata.version("torch") == "2.13.0"
        assert importlib.metadata.version("numpy")
        assert importlib.util.find_spec("torch") is not None
        """
    )


def test_what_is_missing_fails_when_used_by_name():
    check(
        """
        import ember
        ember.as_torch()
        import torch
        import torch.utils.cpp_extension
        import torch.distributed as dist
        from torch.distributed.fsdp import FullyShardedDataParallel
        from torch.fx.node import Node
        from torch.nn.parallel import DataParallel, DistributedDataParallel
        import torch.nn.parallel.distributed

        assert not dist.is_available() and not dist.is_initialized()
        assert not isinstance(3, FullyShardedDataParallel)
        assert not isinstance(DataParallel(torch.nn.ReLU()), DistributedDataParallel)
        def annotated(x: Node | None = None) -> "Node": ...
        class Derived(FullyShardedDataParallel): ...
        for use, name in [
            (lambda: FullyShardedDataParallel(3), "torch.distributed.fsdp.FullyShardedDataParallel"),
            (lambda: dist.all_reduce(3), "torch.distributed.all_reduce"),
            (lambda: DistributedDataParallel(3), "torch.nn.parallel.DistributedDataParallel"),
            (lambda: torch.utils.cpp_extension.load(name="x"), "torch.utils.cpp_extension.load"),
            (lambda: Node.meta, "torch.fx.node.Node.meta"),
        ]:
            try:
                use()
            except NotImplementedError as error:
                assert name in str(error), error
            else:
                raise AssertionError(name)
        try:
            torch.no_such_function
        except AttributeError as error:
            assert "no_such_function" in str(error)
        assert not hasattr(torch, "no_such_function")  # programs ask so for what is newer
        """
    )


def test_an_import_that_fails_inside_a_module_is_not_taken_for_a_missing_module():
    check(
        """
        import ember, sys
        ember.as_torch()
        sys.modules["tensorboardX"] = None
        try:
            import torch.utils.tensorboard
            torch.utils.tensorboard.SummaryWriter()
        except ImportError as error:
            assert "tensorboardX" in str(error), error
        else:
            raise AssertionError("no error")
        """
    )


def test_pytorch_imported_before_is_refused():
    pytest.importorskip("torch")
    done = run(code="import torch, ember; ember.as_torch()")
    assert "RuntimeError: as_torch: PyTorch itself is imported already" in done.stderr


PROGRAM = """
import sys
import torch
from helper import twice

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 1)

    def forward(self, x):
        return self.linear(x)

if __name__ == "__main__":
    torch.manual_seed(int(sys.argv[1]))
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net(torch.ones(3, 2)).sum().backward()
    optimizer.step()
    torch.save(net.state_dict(), sys.argv[2])
    print(twice(net.linear.bias.item()), sys.argv[1:], torch.__file__)
"""


@pytest.mark.parametrize("as_module", [False, True])
def test_a_program_runs_unchanged(tmp_path, as_module):
    (tmp_path / "helper.py").write_text("import torch\n\ndef twice(x):\n    return 2 * x\n")
    (tmp_path / "program.py").write_text(PROGRAM)
    what = ["-m", "program"] if as_module else [str(tmp_path / "program.py")]
    done = subprocess.run(
        [sys.executable, "-m", "ember.as_torch", *what, "5", str(tmp_path / "net.pt")],
        capture_output=True,
        text=True,
        cwd=tmp_path if as_module else None,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "'5', " in done.stdout and "ember" in done.stdout
    torch = pytest.importorskip("torch")
    plain = subprocess.run(
        [sys.executable, str(tmp_path / "program.py"), "5", str(tmp_path / "plain.pt")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert plain.stdout.split()[0] == done.stdout.split()[0]
    ours, theirs = torch.load(tmp_path / "net.pt"), torch.load(tmp_path / "plain.pt")
    assert list(ours) == list(theirs)
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=0)


def test_errors_and_exit_codes_of_a_program_are_its_own(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import sys, torch\nsys.exit(3)\n")
    assert run("-m", "ember.as_torch", str(program)).returncode == 3
    program.write_text("import torch\ntorch.zeros(2) @ torch.zeros(3)\n")
    done = run("-m", "ember.as_torch", str(program))
    assert done.returncode == 1 and "program.py" in done.stderr and "RuntimeError" in done.stderr
    assert run("-m", "ember.as_torch").returncode != 0
    assert "usage" in run("-m", "ember.as_torch").stderr


def test_what_libraries_ask_for_while_they_load():
    check(
        """
        import ember
        ember.as_torch()
        import torch
        from torch._dynamo import allow_in_graph
        from torch import library
        from torch.hub import HASH_REGEX, _get_torch_home, urlparse
        from torch.onnx.symbolic_helper import parse_args
        from torch.serialization import DEFAULT_PROTOCOL
        from torch.utils.data.dataloader import _BaseDataLoaderIter
        from torch.utils.model_zoo import tqdm

        def function(x): ...
        for decorator in (allow_in_graph, torch.fx.wrap, torch.jit.interface, parse_args("v", "i"),
                          library.register_fake("somewhere::nms")):
            assert decorator(function) is function
        keys = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCPU)
        keys = keys | torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCUDA)
        assert len(keys) == 2
        torch._C._log_api_usage_once("library.part")
        def annotated(x: torch.fx.node.Target, y: torch._jit_internal.BroadcastingList2[int],
                      z: torch.cuda.CUDAGraph | None) -> torch.torch.Tensor: ...
        torch.onnx.register_custom_op_symbolic("somewhere::nms", function, 11)
        assert HASH_REGEX.search("net-0123abcd.pth")[1] == "0123abcd"
        assert torch.hub.get_dir() == _get_torch_home() + "/hub"
        assert urlparse("http://a/b").path == "/b" and DEFAULT_PROTOCOL == 2
        assert "ember" in torch.__config__.show()
        assert "threads" in torch.__config__.parallel_info()
        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(3)))
        assert isinstance(iter(loader), _BaseDataLoaderIter)
        """
    )


def test_operators_can_be_named_but_not_called_and_their_libraries_not_loaded():
    check(
        """
        import ember
        ember.as_torch()
        import torch
        clone = torch.ops.aten.clone.default
        assert {clone: 1}[torch.ops.aten.clone.default] == 1
        assert clone != torch.ops.aten.clone and repr(clone) == "torch.ops.aten.clone.default"
        assert not hasattr(torch.ops.torchvision, "nms")
        assert not hasattr(torch.distributed.rpc, "api")
        assert not torch.xpu.is_available() and torch.mps.device_count() == 0
        for use, kind, name in [
            (lambda: clone(torch.ones(2)), NotImplementedError, "torch.ops.aten.clone.default"),
            (lambda: torch.ops.torchvision.nms, AttributeError, "torchvision"),
            (lambda: torch.ops.load_library("_C.so"), OSError, "_C.so"),
            (lambda: torch._C._ExcludeDispatchKeyGuard(3), NotImplementedError, "DispatchKeyGuard"),
        ]:
            try:
                use()
            except kind as error:
                assert name in str(error), error
            else:
                raise AssertionError(name)
        """
    )


def test_checks_that_tracers_understand():
    check(
        """
        import ember as torch
        torch._assert(True, "never")
        torch._check(3 > 2)
        torch._check_is_size(0)
        for use, kind, text in [
            (lambda: torch._assert(False, "rank"), AssertionError, "rank"),
            (lambda: torch._check(False, lambda: "rank"), RuntimeError, "rank"),
            (lambda: torch._check(False), RuntimeError, "Expected cond to be True"),
            (lambda: torch._check_index(False, lambda: "i"), IndexError, "i"),
            (lambda: torch._check_type(False, lambda: "t"), TypeError, "t"),
            (lambda: torch._check_value(False, lambda: "v"), ValueError, "v"),
            (lambda: torch._check_is_size(-1), RuntimeError, "Expected"),
        ]:
            try:
                use()
            except kind as error:
                assert text in str(error), error
            else:
                raise AssertionError(text)
        """
    )


def test_the_meta_device_is_a_name_alone():
    check(
        """
        import ember as torch
        meta = torch.device("meta")
        assert meta.type == "meta" and meta != torch.device("cpu") and str(meta) == "meta"
        for make in (
            lambda: torch.zeros(3, device=meta),
            lambda: torch.arange(3, device="meta"),
            lambda: torch.rand(3, device=meta),
            lambda: torch.tensor([1.0], device=meta),
            lambda: torch.ones(3).to(meta),
            lambda: torch.ones(3).new_zeros(2, device=meta),
            lambda: torch.nn.Linear(2, 2, device=meta),
            lambda: torch.empty(0, device=meta),
            lambda: torch.Generator(meta),
        ):
            try:
                make()
            except NotImplementedError as error:
                assert "meta" in str(error), error
            else:
                raise AssertionError("made")
        """
    )


CHILDREN = """
import torch
import torch.multiprocessing as mp
from torch.utils.data import DataLoader, Dataset

class Squares(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, i):
        return torch.tensor(i) ** 2

def work(index, queue):
    queue.put(torch.__file__)

if __name__ == "__main__":
    loader = DataLoader(Squares(), num_workers=1, multiprocessing_context="spawn")
    print([int(x) for x in loader])
    for method in ("spawn", "forkserver"):
        queue = mp.get_context(method).SimpleQueue()
        mp.start_processes(work, (queue,), start_method=method)
        print(queue.get() == torch.__file__)
"""


def test_processes_that_a_program_starts_afresh_run_on_ember_too(tmp_path):
    (tmp_path / "program.py").write_text(CHILDREN)
    done = run("-m", "ember.as_torch", str(tmp_path / "program.py"))
    assert done.stdout.splitlines() == ["[0, 1, 4, 9]", "True", "True"], done.stderr


def test_text_and_help():
    done = run(
        "-m", "ember.as_torch", "-c", "import sys, torch; print(torch.__name__, sys.argv)", "a"
    )
    assert done.stdout.strip() == "ember ['-c', 'a']", done.stderr
    done = run("-m", "ember.as_torch", "--help")
    assert done.returncode == 0 and done.stdout.startswith("usage")


def test_a_device_as_a_block():
    check(
        """
        import ember as torch
        with torch.device("cpu") as device:
            assert torch.ones(1).device == device
        try:
            with torch.device("meta"):
                pass
        except NotImplementedError as error:
            assert "meta" in str(error)
        else:
            raise AssertionError("entered")
        """
    )
