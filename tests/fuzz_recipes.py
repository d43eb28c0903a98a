"""Plausible arguments of functions whose operands must fit each other in a way of their own.

A recipe takes an `Arguments` and gives the positional and the keyword arguments; a tensor method
gets the first one as its `self`.
"""

import io
from collections.abc import Callable
from typing import Any

from fuzz_arguments import Arguments

Call = tuple[list[Any], dict[str, Any]]
RECIPES: dict[str, Callable[[Arguments], Call]] = {}


def recipe(*names: str) -> Callable:
    def register(function: Callable[[Arguments], Call]) -> Callable[[Arguments], Call]:
        RECIPES.update(dict.fromkeys(names, function))
        return function

    return register


def floating(make: Arguments) -> str:
    make.dtype = make.draw(["float32", "float32", "float64", "float16", "bfloat16"])
    return make.dtype


def sizes(make: Arguments, count: int, options: tuple[int, ...] = (1, 2, 3, 5)) -> list[int]:
    return [make.draw(options) for _ in range(count)]


@recipe("mm", "__matmul__", "matmul")
def mm(make: Arguments) -> Call:
    m, k, n = sizes(make, 3, (0, 1, 2, 3, 8, 17))
    return [make.tensor([m, k]), make.tensor([k, n])], {}


@recipe("bmm")
def bmm(make: Arguments) -> Call:
    b, m, k, n = sizes(make, 4)
    return [make.tensor([b, m, k]), make.tensor([b, k, n])], {}


@recipe("baddbmm")
def baddbmm(make: Arguments) -> Call:
    b, m, k, n = sizes(make, 4)
    return [make.tensor([b, m, n]), make.tensor([b, m, k]), make.tensor([b, k, n])], {}


@recipe("addmm", "addmm_")
def addmm(make: Arguments) -> Call:
    m, k, n = sizes(make, 3)
    return [make.tensor([m, n]), make.tensor([m, k]), make.tensor([k, n])], {}


@recipe("mv")
def mv(make: Arguments) -> Call:
    m, k = sizes(make, 2)
    return [make.tensor([m, k]), make.tensor([k])], {}


@recipe("dot", "outer", "inner", "vdot")
def dot(make: Arguments) -> Call:
    (n,) = sizes(make, 1)
    return [make.tensor([n]), make.tensor([n])], {}


@recipe("linear")
def linear(make: Arguments) -> Call:
    n, i, o = sizes(make, 3)
    floating(make)
    bias = make.tensor([o]) if make.chance(0.5) else None
    return [make.tensor([n, i]), make.tensor([o, i]), bias], {}


def convolution(dims: int) -> Callable[[Arguments], Call]:
    def call(make: Arguments) -> Call:
        floating(make)
        groups, per_group, out = sizes(make, 3, (1, 2))
        kernel = sizes(make, dims, (1, 2, 3))
        image = [k + make.draw([0, 1, 4]) for k in kernel]
        x = make.tensor([make.draw([0, 1, 2]), groups * per_group, *image])
        bias = make.tensor([groups * out]) if make.chance(0.5) else None
        options = {"groups": groups, "stride": make.draw([1, 2]), "padding": make.draw([0, 1, 2])}
        return [x, make.tensor([groups * out, per_group, *kernel]), bias], options

    return call


for spatial in (1, 2, 3):
    RECIPES[f"conv{spatial}d"] = convolution(spatial)


def pooling(dims: int) -> Callable[[Arguments], Call]:
    def call(make: Arguments) -> Call:
        floating(make)
        x = make.tensor([*sizes(make, 2, (0, 1, 2, 3)), *sizes(make, dims, (2, 4, 5, 7))])
        return [x, make.draw([1, 2])], {"stride": make.draw([None, 1, 2, 3])}

    return call


for spatial in (1, 2, 3):
    RECIPES[f"max_pool{spatial}d"] = RECIPES[f"avg_pool{spatial}d"] = pooling(spatial)


def transposed_convolution(dims: int) -> Callable[[Arguments], Call]:
    def call(make: Arguments) -> Call:
        (x, weight, bias), options = convolution(dims)(make)
        channels = weight.shape[1] * options["groups"]
        x = make.tensor([make.draw([0, 1, 2]), weight.shape[0], *sizes(make, dims)])
        bias = None if bias is None else make.tensor([channels])
        return [x, weight, bias], options

    return call


for spatial in (1, 2, 3):
    RECIPES[f"conv_transpose{spatial}d"] = transposed_convolution(spatial)


def image(make: Arguments, dims: int = 2) -> Any:
    floating(make)
    return make.tensor([*sizes(make, 2, (1, 2, 4)), *sizes(make, dims, (1, 2, 4, 6))])


def resized(dims: int) -> Callable[[Arguments], Call]:
    return lambda make: ([image(make, dims), sizes(make, dims)], {})


for spatial in (1, 2, 3):
    RECIPES[f"adaptive_avg_pool{spatial}d"] = resized(spatial)
    RECIPES[f"adaptive_max_pool{spatial}d"] = resized(spatial)


@recipe("interpolate", "upsample")
def interpolate(make: Arguments) -> Call:
    dims = make.draw([1, 2, 3])
    modes = {1: ["linear"], 2: ["bilinear", "bicubic"], 3: ["trilinear"]}[dims]
    mode = make.draw([*modes, "nearest", "nearest-exact", "area"])
    scale = make.draw([0.5, 1.3, 2, 3.7])
    options = {"scale_factor": scale} if make.chance(0.5) else {"size": sizes(make, dims)}
    return [image(make, dims)], {"mode": mode, **options}


@recipe("grid_sample")
def grid_sample(make: Arguments) -> Call:
    dims = make.draw([2, 3])
    x = image(make, dims)
    grid = make.tensor([x.shape[0], *sizes(make, dims), dims])
    padding = make.draw(["zeros", "border", "reflection"])
    modes = ["bilinear", "nearest", "bicubic"][: 5 - dims]
    return [x, grid, make.draw(modes), padding, make.chance(0.5)], {}


@recipe("affine_grid")
def affine_grid(make: Arguments) -> Call:
    dims = make.draw([2, 3])
    floating(make)
    n = make.draw([1, 2])
    return [make.tensor([n, dims, dims + 1]), [n, 1, *sizes(make, dims)], make.chance(0.5)], {}


@recipe("unfold")
def unfold(make: Arguments) -> Call:
    return [image(make), make.draw([1, 2])], {"padding": make.draw([0, 1])}


@recipe("fold")
def fold(make: Arguments) -> Call:
    floating(make)
    h, w, k = sizes(make, 3, (2, 3, 4))
    k = min(h, w, k)
    return [make.tensor([1, 2 * k * k, (h - k + 1) * (w - k + 1)]), [h, w], k], {}


@recipe("pixel_shuffle", "pixel_unshuffle", "channel_shuffle")
def shuffle(make: Arguments) -> Call:
    floating(make)
    return [make.tensor([1, 4, 2, 6]), make.draw([1, 2])], {}


@recipe("group_norm")
def group_norm(make: Arguments) -> Call:
    x, groups = image(make), make.draw([1, 2])
    return [x, groups, make.tensor([x.shape[1]]), make.tensor([x.shape[1]])], {}


@recipe("instance_norm")
def instance_norm(make: Arguments) -> Call:
    x = image(make)
    return [x, None, None, make.tensor([x.shape[1]]), None], {}


@recipe("local_response_norm", "lp_pool2d")
def image_and_size(make: Arguments) -> Call:
    return [image(make), make.draw([1, 2]), make.draw([1, 2])], {}


@recipe("batch_norm")
def batch_norm(make: Arguments) -> Call:
    floating(make)
    n, c, h = sizes(make, 3)
    x = make.tensor([n, c, h])
    statistics = [make.tensor([c]).detach().abs().contiguous() for _ in range(2)]
    return [x, *statistics, make.tensor([c]), make.tensor([c]), make.chance(0.5)], {}


@recipe("layer_norm", "rms_norm")
def layer_norm(make: Arguments) -> Call:
    floating(make)
    shape = sizes(make, 3)
    normalized = shape[make.rng.randrange(3) :]
    return [make.tensor(shape), normalized, make.tensor(normalized)], {}


@recipe("scaled_dot_product_attention")
def attention(make: Arguments) -> Call:
    floating(make)
    b, h = sizes(make, 2)
    queries, keys = sizes(make, 2, (0, 1, 7, 9, 70, 130))
    width, value_width = sizes(make, 2, (0, 1, 3, 17, 33))
    operands = [make.tensor([b, h, queries, width]), make.tensor([b, h, keys, width]),
                make.tensor([make.draw([1, b]), h, keys, value_width])]  # fmt: skip
    options: dict[str, Any] = {"is_causal": True} if make.chance(0.5) else {}
    if not options and make.chance(0.5):
        make.dtype = make.draw(["bool", make.dtype])
        options["attn_mask"] = make.tensor([make.draw([1, h]), make.draw([1, queries]), keys])
    return operands, options


@recipe("embedding")
def embedding(make: Arguments) -> Call:
    floating(make)
    rows, width = sizes(make, 2)
    return [make.tensor(make.shape(), "int64", low=0, high=rows), make.tensor([rows, width])], {}


@recipe("one_hot")
def one_hot(make: Arguments) -> Call:
    return [make.tensor(make.shape(), "int64", low=0, high=5)], {"num_classes": 5}


@recipe("cross_entropy", "nll_loss")
def cross_entropy(make: Arguments) -> Call:
    floating(make)
    n, c = sizes(make, 2)
    extra = sizes(make, make.draw([0, 0, 1, 2]))
    target = make.tensor([n, *extra], "int64", low=0, high=c)
    return [make.tensor([n, c, *extra]), target], {"reduction": make.draw(["mean", "sum", "none"])}


@recipe("binary_cross_entropy", "binary_cross_entropy_with_logits", "mse_loss", "l1_loss")
def elementwise_loss(make: Arguments) -> Call:
    floating(make)
    pair = [make.tensor(make.base).detach().abs().clamp(max=1) for _ in range(2)]
    return pair, {"reduction": make.draw(["mean", "sum", "none"])}


def nonempty(make: Arguments) -> int:
    """Gives the base shape at least one dimension and no empty one; a dim of it."""
    make.base = [max(size, 1) for size in make.base] or [3]
    return make.rng.randrange(len(make.base))


@recipe("gather", "take_along_dim")
def gather(make: Arguments) -> Call:
    dim = nonempty(make)
    index = make.tensor(make.base, "int64", low=0, high=make.base[dim])
    return [make.tensor(make.base), dim, index], {}


@recipe("scatter", "scatter_", "scatter_add", "scatter_add_")
def scatter(make: Arguments) -> Call:
    dim = nonempty(make)
    index = make.tensor(make.base, "int64", low=0, high=make.base[dim])
    x = make.tensor(make.base).detach().clone()
    return [x, dim, index, make.tensor(make.base)], {}


@recipe("index_select")
def index_select(make: Arguments) -> Call:
    dim = nonempty(make)
    index = make.tensor([make.draw([0, 1, 4])], "int64", low=0, high=make.base[dim])
    return [make.tensor(make.base), dim, index], {}


@recipe("index_add", "index_add_", "index_copy", "index_copy_")
def index_add(make: Arguments) -> Call:
    dim = nonempty(make)
    count = make.draw([0, 1, 4])
    index = make.tensor([count], "int64", low=0, high=make.base[dim])
    source = [*make.base[:dim], count, *make.base[dim + 1 :]]
    return [make.tensor(make.base).detach().clone(), dim, index, make.tensor(source)], {}


@recipe("masked_fill", "masked_fill_")
def masked_fill(make: Arguments) -> Call:
    x = make.tensor(make.base).detach().clone()
    return [x, make.tensor(make.base, "bool"), make.number()], {}


@recipe("where")
def where(make: Arguments) -> Call:
    return [make.tensor(make.base, "bool"), make.broadcastable(), make.broadcastable()], {}


@recipe("cat", "concat", "concatenate", "stack", "hstack", "vstack")
def cat(make: Arguments) -> Call:
    dim = nonempty(make)
    return [[make.tensor(make.base) for _ in range(make.draw([1, 2, 3]))], dim], {}


@recipe("pad")
def pad(make: Arguments) -> Call:
    dims = nonempty(make) + 1
    return [make.tensor(make.base), sizes(make, 2 * dims, (-1, 0, 1, 2))], {}


@recipe("narrow")
def narrow(make: Arguments) -> Call:
    dim = nonempty(make)
    start = make.rng.randrange(make.base[dim])
    return [make.tensor(make.base), dim, start, make.base[dim] - start], {}


@recipe("select")
def select(make: Arguments) -> Call:
    dim = nonempty(make)
    return [make.tensor(make.base), dim, make.rng.randrange(make.base[dim])], {}


@recipe("expand", "broadcast_to")
def expand(make: Arguments) -> Call:
    shape = [2, *make.base]
    return [make.tensor([1 if make.chance(0.3) else s for s in make.base]), shape], {}


@recipe("view", "reshape")
def view(make: Arguments) -> Call:
    shape = make.draw([[-1], make.base[::-1], [1, *make.base], [*make.base, 1]])
    return [make.tensor(make.base), list(shape)], {}


@recipe("as_strided")
def as_strided(make: Arguments) -> Call:
    (n,) = sizes(make, 1)
    x = make.tensor([n * n]).contiguous()
    return [x, [n, n], make.draw([[n, 1], [1, n], [0, 1], [n - 1, 1]])], {}


@recipe("arange", "linspace", "logspace")
def ranges(make: Arguments) -> Call:
    return [make.number(), make.number() + make.draw([1, 5, 30]), make.draw([1, 2, 7])], {}


@recipe("randint")
def randint(make: Arguments) -> Call:
    return [make.draw([0, -5]), make.draw([1, 100, 2**40]), make.shape()], {}


@recipe("normal")
def normal(make: Arguments) -> Call:
    return [make.number(), abs(make.number()), make.shape()], {}


@recipe("bernoulli", "bernoulli_", "dropout", "dropout_")
def bernoulli(make: Arguments) -> Call:
    floating(make)
    return [make.tensor(make.base).detach().abs().clamp(max=1)], {"p": make.draw([0.0, 0.3, 1.0])}


@recipe("copy_", "add_", "mul_", "sub_", "div_", "__iadd__", "__imul__", "__isub__")
def in_place(make: Arguments) -> Call:
    floating(make)
    return [make.tensor(make.base).detach().clone(), make.tensor(make.base)], {}


def index_expression(make: Arguments) -> Any:
    items: list[Any] = []
    for size in make.base[: make.rng.randrange(len(make.base) + 1)]:
        step = make.draw([None, 1, 2])
        low, high = (make.draw([None, 0, 1, -1, size, 100]) for _ in range(2))
        options = [slice(low, high, step), slice(None)]
        if size:
            options.append(make.rng.randrange(-size, size))
            options.append(make.tensor([2], "int64", low=0, high=size))
            options.append(make.tensor([size], "bool"))
        items.append(make.draw(options))
    if make.chance(0.3):
        items.insert(make.rng.randrange(len(items) + 1), None)
    if make.chance(0.3):
        items.insert(make.rng.randrange(len(items) + 1), ...)
    if make.chance(0.2):
        return make.tensor(make.base, "bool")
    return tuple(items) if len(items) != 1 or make.chance(0.5) else items[0]


@recipe("index_put", "index_put_")
def index_put(make: Arguments) -> Call:
    dim = nonempty(make)
    x = make.tensor(make.base).detach().clone()
    count = make.draw([0, 1, 4])
    indices = [make.tensor([count], "int64", low=0, high=size) for size in make.base[: dim + 1]]
    values = make.tensor([count, *make.base[dim + 1 :]])
    return [x, tuple(indices), values], {"accumulate": make.chance(0.5)}


@recipe("lerp", "lerp_")
def lerp(make: Arguments) -> Call:
    floating(make)
    x, end = make.tensor(make.base).detach().clone(), make.tensor(make.base)
    return [x, end, make.draw([0.5, make.tensor(make.base)])], {}


@recipe("register_hook", "register_post_accumulate_grad_hook")
def register_hook(make: Arguments) -> Call:
    floating(make)
    return [make.tensor(make.base).detach().requires_grad_(True), lambda x: None], {}


@recipe("gradcheck", "gradgradcheck")
def gradcheck(make: Arguments) -> Call:
    x = make.tensor([2], "float64").detach().requires_grad_(True)
    return [lambda y: y * y, (x,)], {"raise_exception": False}


@recipe("checkpoint")
def checkpoint(make: Arguments) -> Call:
    floating(make)
    return [lambda x: x * x, make.tensor(make.base)], {"use_reentrant": make.chance(0.5)}


@recipe("checkpoint_sequential")
def checkpoint_sequential(make: Arguments) -> Call:
    floating(make)
    functions = [make.torch.relu, make.torch.exp]
    return [functions, make.draw([1, 2]), make.tensor(make.base)], {"use_reentrant": False}


@recipe("can_cast", "promote_types")
def dtypes(make: Arguments) -> Call:
    names = ["float32", "float64", "int64", "bool", "uint8", "bfloat16"]
    return [getattr(make.torch, make.draw(names)) for _ in range(2)], {}


@recipe("frombuffer")
def frombuffer(make: Arguments) -> Call:
    return [bytearray(make.draw([4, 8, 64]))], {"dtype": make.torch.float32}


@recipe("set_rng_state")
def set_rng_state(make: Arguments) -> Call:
    return [make.torch.get_rng_state()], {}


@recipe("__getitem__")
def getitem(make: Arguments) -> Call:
    return [make.tensor(make.base), index_expression(make)], {}


@recipe("__setitem__")
def setitem(make: Arguments) -> Call:
    x = make.tensor(make.base).detach().clone()
    return [x, index_expression(make), make.draw([make.number(), make.tensor([1])])], {}


@recipe("backward", "grad")
def gradient(make: Arguments) -> Call:
    floating(make)
    x = make.tensor(make.base).detach().requires_grad_(True)
    return [(x * x).sum(), *([x] if make.chance(0.5) else [])], {}


@recipe("save")
def save(make: Arguments) -> Call:
    return [{"a": make.tensor(make.base)}, io.BytesIO()], {}


@recipe("load")
def load(make: Arguments) -> Call:
    file = io.BytesIO()
    make.torch.save({"a": make.tensor(make.base)}, file)
    data = bytearray(file.getvalue())
    if make.chance(0.7):
        for _ in range(make.draw([1, 3, 30])):
            data[make.rng.randrange(len(data))] = make.rng.randrange(256)
        del data[len(data) - make.draw([0, 0, 1, len(data) // 2]) :]
    return [io.BytesIO(bytes(data))], {}


@recipe("set_num_threads")
def set_num_threads(make: Arguments) -> Call:
    return [make.draw([1, 2, 4])], {}


@recipe("from_numpy", "as_tensor", "tensor", "asarray")
def from_numpy(make: Arguments) -> Call:
    return [make.array(make.base, make.draw(["float32", "int64", "bool", "float16"]))], {}


@recipe("select_scatter")
def replaced_slice(make: Arguments) -> Call:
    n = make.draw([1, 2, 3])
    return [make.tensor([n, n]), make.tensor([n]), make.draw([0, 1]), make.draw([0, -1])], {}


@recipe("diagonal_scatter")
def replaced_diagonal(make: Arguments) -> Call:
    n = make.draw([1, 2, 3])
    return [make.tensor([n, n]), make.tensor([n])], {}


@recipe("unfold")
def windows(make: Arguments) -> Call:
    x = make.tensor([*sizes(make, 1), make.draw([3, 4, 7])])
    return [x, make.draw([1, -1]), make.draw([0, 1, 2, 3]), make.draw([1, 2, 5])], {}


@recipe("repeat_interleave")
def repeated(make: Arguments) -> Call:
    return [make.tensor(sizes(make, 2)), make.draw([0, 1, 3])], {"dim": make.draw([None, 0, -1])}


@recipe("diagflat")
def flat_diagonal(make: Arguments) -> Call:
    """Small: the result is the square of the input."""
    return [make.tensor(sizes(make, 2))], {"offset": make.draw([0, 1, -2])}
