"""Plausible arguments of functions of integers, shapes, signals and sparse tensors; see
`fuzz_recipes.py`."""

import functools
import operator
from typing import Any

from fuzz_arguments import COMPLEX, INTEGERS, Arguments
from fuzz_matrix_recipes import real, whole
from fuzz_recipes import RECIPES, Call, floating, nonempty, recipe, sizes


def whole_pair(make: Arguments) -> Call:
    whole(make)
    return [make.tensor(make.base).detach().clone(), make.tensor(make.base)], {}


for stem in (
    "gcd lcm bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift "
    "__and__ __or__ __xor__ __lshift__ __rshift__"
).split():
    RECIPES[stem] = whole_pair
    RECIPES[stem + "_"] = whole_pair


@recipe("bincount")
def bincount(make: Arguments) -> Call:
    return [make.tensor(make.shape(1), make.draw(INTEGERS), low=0, high=9).abs()], {}


@recipe("heaviside", "heaviside_")
def heaviside(make: Arguments) -> Call:
    real(make)
    return [make.tensor(make.base).detach().clone(), make.tensor(make.base)], {}


@recipe("igamma", "igammac", "igamma_", "igammac_", "gammainc", "gammaincc")
def igamma(make: Arguments) -> Call:
    real(make)
    pair = [make.tensor(make.base).detach().abs().contiguous() for _ in range(2)]
    return pair, {}


@recipe("mvlgamma", "mvlgamma_", "multigammaln")
def mvlgamma(make: Arguments) -> Call:
    real(make)
    return [make.tensor(make.base).detach().abs() + 5, make.draw([1, 2, 4])], {}


@recipe("polygamma")
def polygamma(make: Arguments) -> Call:
    real(make)
    return [make.draw([0, 1, 3]), make.tensor(make.base)], {}


@recipe("quantile", "nanquantile")
def quantile(make: Arguments) -> Call:
    real(make)
    dim = nonempty(make)
    q = make.draw(
        [0.0, 0.3, 1.0, make.torch.tensor([0.1, 0.9], dtype=getattr(make.torch, make.dtype))]
    )
    return [make.tensor(make.base), q], {"dim": make.draw([None, dim]), "keepdim": make.chance(0.5)}


@recipe("histogram")
def histogram(make: Arguments) -> Call:
    real(make)
    return [make.tensor(make.base).detach().nan_to_num(0, 1, -1), make.draw([1, 3, 50])], {}


@recipe("histogramdd")
def histogramdd(make: Arguments) -> Call:
    real(make)
    d = make.draw([1, 2, 3])
    return [make.tensor([7, d]).detach().nan_to_num(0, 1, -1), [make.draw([1, 4])] * d], {}


@recipe("searchsorted")
def searchsorted(make: Arguments) -> Call:
    edges = make.tensor(make.shape(1), make.draw(["float32", "int64"]))
    return [edges.detach().sort()[0], make.tensor(make.base, str(edges.dtype).split(".")[1])], {}


@recipe("bucketize")
def bucketize(make: Arguments) -> Call:
    real(make)
    return [make.tensor(make.base), make.tensor(make.shape(1)).detach().sort()[0]], {}


@recipe("multinomial")
def multinomial(make: Arguments) -> Call:
    floating(make)
    weights = make.tensor([*make.draw([[], [3]]), 5]).detach().abs() + 0.5
    return [weights.nan_to_num(1, 1, 1), make.draw([1, 5])], {"replacement": make.chance(0.5)}


@recipe("cummax", "cummin", "logcumsumexp")
def cummax(make: Arguments) -> Call:
    real(make)
    return [make.tensor(make.base), nonempty(make) if make.base else 0], {}


@recipe("index_reduce", "index_reduce_")
def index_reduce(make: Arguments) -> Call:
    x, dim, index, source = RECIPES["index_add"](make)[0]
    return [x, dim, index, source, make.draw(["prod", "mean", "amax", "amin"])], {}


@recipe("scatter_reduce", "scatter_reduce_")
def scatter_reduce(make: Arguments) -> Call:
    x, dim, index, source = RECIPES["scatter"](make)[0]
    return [x, dim, index, source, make.draw(["sum", "prod", "mean", "amax", "amin"])], {}


@recipe("take_along_dim")
def take_along_dim(make: Arguments) -> Call:
    x, dim, index = RECIPES["gather"](make)[0]
    return [x, index, dim], {}


@recipe("segment_reduce")
def segment_reduce(make: Arguments) -> Call:
    real(make)
    a, b = sizes(make, 2, (0, 1, 3))
    lengths = make.torch.tensor([a, b])
    return [make.tensor([a + b, 2]), make.draw(["sum", "mean", "max", "prod"])], {
        "lengths": lengths
    }


@recipe("clamp_", "clip_", "clamp", "clip")
def clamped(make: Arguments) -> Call:
    return [
        make.tensor(make.base).detach().clone(),
        make.draw([None, -1, 0]),
        make.draw([1, 2.5]),
    ], {}


@recipe("movedim", "moveaxis")
def movedim(make: Arguments) -> Call:
    dim = nonempty(make)
    return [make.tensor(make.base), dim, make.draw([0, -1])], {}


@recipe("split_with_sizes", "split_with_sizes_copy", "unsafe_split_with_sizes")
def split_with_sizes(make: Arguments) -> Call:
    a, b = sizes(make, 2, (0, 1, 3))
    return [make.tensor([a + b, 2]), [a, b]], {}


@recipe("split", "split_copy", "unsafe_split", "tensor_split", "chunk", "unsafe_chunk")
def split(make: Arguments) -> Call:
    return [make.tensor(sizes(make, 2)), make.draw([1, 2])], {"dim": make.draw([0, 1, -1])}


@recipe("vstack", "row_stack", "hstack", "dstack", "column_stack", "block_diag")
def stacked(make: Arguments) -> Call:
    return [[make.tensor([2, 3]) for _ in range(make.draw([1, 2]))]], {}


@recipe("as_strided_scatter")
def as_strided_scatter(make: Arguments) -> Call:
    return [make.tensor([6]), make.tensor([2, 2]), [2, 2], [2, 1]], {}


for name in ("expand", "select", "view"):
    RECIPES[name + "_copy"] = RECIPES[name]


@recipe("alias_copy", "detach_copy", "slice_copy", "squeeze_copy", "unbind_copy", "topk")
def copied(make: Arguments) -> Call:
    nonempty(make)
    return [make.tensor(make.base), *([make.draw([0, 1])] if make.chance(0.3) else [])], {}


@recipe("permute_copy")
def permute_copy(make: Arguments) -> Call:
    return [make.tensor(make.base), make.rng.sample(range(len(make.base)), len(make.base))], {}


@recipe("transpose_copy")
def transpose_copy(make: Arguments) -> Call:
    return [make.tensor(make.base), nonempty(make) - len(make.base), -1], {}


@recipe("unsqueeze_copy")
def unsqueeze_copy(make: Arguments) -> Call:
    return [make.tensor(make.base), make.draw([0, -1])], {}


@recipe("unfold_copy")
def unfold_copy(make: Arguments) -> Call:
    return [make.tensor([5, 3]), 0, make.draw([1, 2, 5]), make.draw([1, 2])], {}


@recipe("hsplit", "vsplit", "dsplit")
def stacks_split(make: Arguments) -> Call:
    return [make.tensor([4, 4, 4]), make.draw([1, 2, 4, [1, 2]])], {}


@recipe("nonzero_static")
def nonzero_static(make: Arguments) -> Call:
    return [make.tensor(make.base)], {"size": make.draw([0, 1, 9])}


@recipe("geometric_")
def geometric(make: Arguments) -> Call:
    return [make.tensor(make.base).detach().clone(), make.draw([0.1, 0.5])], {}


@recipe("as_strided_copy")
def as_strided_copy(make: Arguments) -> Call:
    return RECIPES["as_strided"](make)


@recipe("diagonal_copy", "t_copy")
def matrix_view(make: Arguments) -> Call:
    return [make.tensor(sizes(make, 2))], {}


@recipe("empty_strided", "new_empty_strided")
def empty_strided(make: Arguments) -> Call:
    n, m = sizes(make, 2)
    return [[n, m], make.draw([[m, 1], [1, n], [0, 0]])], {}


@recipe("new_empty_strided")
def new_empty_strided(make: Arguments) -> Call:
    return [make.tensor(make.base), *empty_strided(make)[0]], {}


@recipe("empty_permuted")
def empty_permuted(make: Arguments) -> Call:
    return [sizes(make, 3), make.draw([[0, 1, 2], [2, 0, 1]])], {}


@recipe("tril_indices", "triu_indices")
def triangle(make: Arguments) -> Call:
    return [*sizes(make, 2, (0, 1, 3, 7))], {"offset": make.draw([0, 1, -2])}


@recipe("complex", "polar")
def complex_parts(make: Arguments) -> Call:
    real(make)
    return [make.tensor(make.base), make.tensor(make.base)], {}


@recipe("view_as_complex", "view_as_complex_copy")
def view_as_complex(make: Arguments) -> Call:
    real(make)
    return [make.tensor([*make.base, 2]).contiguous()], {}


@recipe("view_as_real", "view_as_real_copy", "imag")
def view_as_real(make: Arguments) -> Call:
    make.dtype = make.draw(COMPLEX)
    return [make.tensor(make.base)], {}


@recipe("is_nonzero", "__bool__", "__float__", "item")
def single(make: Arguments) -> Call:
    return [make.tensor(make.draw([[], [1], [1, 1]]))], {}


@recipe("__int__", "__index__")
def single_integer(make: Arguments) -> Call:
    whole(make)
    return [make.tensor([])], {}


@recipe("map_", "apply_", "map2_")
def mapped(make: Arguments) -> Call:
    real(make)
    functions = {"map_": (1, operator.add), "apply_": (0, abs), "map2_": (2, max)}
    count, function = functions[make.draw(list(functions))]
    x = make.tensor(make.base).detach().clone()
    return [x, *(make.tensor(make.base) for _ in range(count)), function], {}


@recipe("detach_", "detach")
def detached(make: Arguments) -> Call:
    return [make.tensor(make.base).clone()], {}


@recipe("as_subclass")
def as_subclass(make: Arguments) -> Call:
    return [make.tensor(make.base), make.torch.Tensor], {}


def window(make: Arguments) -> Call:
    return [make.draw([0, 1, 2, 9])], {"periodic": make.chance(0.5)}


for name in "bartlett blackman hamming hann kaiser".split():
    RECIPES[name + "_window"] = window

WINDOWS = (
    "bartlett blackman cosine exponential gaussian general_cosine general_hamming hamming hann "
    "kaiser nuttall"
)
EXTRA = {"gaussian": {"std": 2.0}, "general_cosine": {"a": [0.5, 0.3]}}


def symmetric_window(name: str, make: Arguments) -> Call:
    return [make.draw([0, 1, 2, 9])], {"sym": make.chance(0.5), **EXTRA.get(name, {})}


for name in WINDOWS.split():
    RECIPES[name] = functools.partial(symmetric_window, name)


@recipe("stft")
def stft(make: Arguments) -> Call:
    real(make)
    x = make.tensor([*make.draw([[], [2]]), make.draw([16, 33])])
    return [x, make.draw([4, 8])], {"return_complex": True, "center": make.chance(0.5)}


@recipe("istft")
def istft(make: Arguments) -> Call:
    make.dtype = "complex64"
    return [make.tensor([5, make.draw([3, 9])]), 8], {}


def transform(name: str, make: Arguments) -> Call:
    make.dtype = make.draw(["float32", "float64", *([] if name in ("rfft", "ihfft") else COMPLEX)])
    make.base = [max(n, 2) for n in make.base] or [4]
    norm = make.draw([None, "forward", "backward", "ortho"])
    return [make.tensor(make.base)], {"norm": norm}


for stem in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
    for suffix in ("", "n"):
        RECIPES[stem + suffix] = functools.partial(transform, stem)


def plane_transform(name: str, make: Arguments) -> Call:
    make.dtype = make.draw(["float32", *([] if name in ("rfft", "ihfft") else COMPLEX)])
    return [make.tensor([*make.draw([[], [2]]), *sizes(make, 2, (2, 3, 8))])], {}


for stem in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
    RECIPES[stem + "2"] = functools.partial(plane_transform, stem)


def pattern(make: Arguments) -> Any:
    real(make)
    return make.tensor([3, 4]).detach().nan_to_num() * make.tensor([3, 4], "bool")


@recipe("to_sparse", "to_sparse_coo", "to_sparse_csr", "to_sparse_csc", "to_dense")
def to_sparse(make: Arguments) -> Call:
    return [pattern(make)], {}


COO = "coalesce is_coalesced indices values sparse_dim dense_dim indices_copy values_copy _nnz"


@recipe(*COO.split())
def of_coo(make: Arguments) -> Call:
    return [pattern(make).to_sparse().coalesce()], {}


@recipe("crow_indices", "col_indices", "crow_indices_copy", "col_indices_copy")
def of_csr(make: Arguments) -> Call:
    return [pattern(make).to_sparse_csr()], {}


@recipe("ccol_indices", "row_indices", "ccol_indices_copy", "row_indices_copy")
def of_csc(make: Arguments) -> Call:
    return [pattern(make).to_sparse_csc()], {}


@recipe("sparse_mask")
def sparse_mask(make: Arguments) -> Call:
    mask = pattern(make).to_sparse().coalesce()
    return [make.tensor([3, 4]), mask], {}


@recipe("sparse_resize_")
def sparse_resize(make: Arguments) -> Call:
    return [pattern(make).to_sparse(), (5, 6), 2, 0], {}


@recipe("sparse_coo_tensor")
def sparse_coo_tensor(make: Arguments) -> Call:
    index = make.tensor([2, 3], "int64", low=0, high=3)
    return [index, make.tensor([3]), make.draw([(3, 3), (5, 4)])], {}


@recipe("sparse_csr_tensor", "sparse_csc_tensor", "sparse_compressed_tensor")
def sparse_compressed_tensor(make: Arguments) -> Call:
    options = {"layout": make.torch.sparse_csr} if make.chance(0.5) else {}
    return [
        make.torch.tensor([0, 1, 2]),
        make.torch.tensor([1, 0]),
        make.tensor([2]),
        (2, 2),
    ], options


def normalized(make: Arguments) -> Call:
    return [pattern(make).to_sparse().coalesce(), make.draw([0, 1])], {}


for name in ("softmax", "log_softmax"):
    RECIPES["sparse." + name] = normalized
RECIPES["sparse.sum"] = of_coo


@recipe("smm", "spmm", "dsmm", "hspmm")
def sparse_product(make: Arguments) -> Call:
    a = pattern(make)
    return [a.to_sparse(), make.tensor([4, 2])], {}


@recipe("sspaddmm")
def sspaddmm(make: Arguments) -> Call:
    a = pattern(make)
    return [
        make.torch.zeros(3, 2, dtype=a.dtype).to_sparse(),
        a.to_sparse(),
        make.tensor([4, 2]),
    ], {}


@recipe("sampled_addmm")
def sampled_addmm(make: Arguments) -> Call:
    a = pattern(make)
    return [a.to_sparse_csr(), make.tensor([3, 2]), make.tensor([2, 4])], {}


@recipe("spdiags")
def spdiags(make: Arguments) -> Call:
    real(make)
    return [make.tensor([2, 4]), make.torch.tensor([0, make.draw([1, -1])]), (4, 4)], {}
