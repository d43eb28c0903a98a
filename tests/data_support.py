"""Datasets and comparisons that the tests of the loader share."""

import ember
import pytest
from ember.utils import data
from torch_bridge import to_ember

torch = pytest.importorskip("torch")
reference = torch.utils.data


def plain(x):
    """Tensors as (dtype, values), the rest as it is, to compare across libraries."""
    if isinstance(x, ember.Tensor | torch.Tensor):
        return str(x.dtype).split(".")[-1], tuple(x.shape), x.tolist()
    if isinstance(x, dict):
        return type(x).__name__, {k: plain(v) for k, v in x.items()}
    if isinstance(x, list | tuple):
        return type(x).__name__, [plain(v) for v in x]
    return x


class Squares(data.Dataset):
    """Item by item: no fast path."""

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return i * i


class Stream(data.IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        info = data.get_worker_info() or reference.get_worker_info()
        step, start = (info.num_workers, info.id) if info else (1, 0)
        return iter(range(start, self.n, step))


class TorchStream(reference.IterableDataset):
    def __init__(self, n):
        self.n = n

    __iter__ = Stream.__iter__


def tensors(n=23):
    torch.manual_seed(0)
    x, y = torch.randn(n, 2, 3), torch.randint(0, 10, (n,))
    return data.TensorDataset(to_ember(x), to_ember(y)), reference.TensorDataset(x, y)
