"""Plausible arguments of losses, functions of modules, derivatives of functions, and settings; see
`fuzz_recipes.py`."""

import functools
from collections.abc import Callable
from typing import Any

from fuzz_arguments import FLOATS, Arguments
from fuzz_matrix_recipes import real
from fuzz_recipes import RECIPES, Call, floating, image, recipe, sizes


@recipe("multi_head_attention_forward")
def attention(make: Arguments) -> Call:
    floating(make)
    n, b, heads, width = *sizes(make, 2), make.draw([1, 2]), 4
    query, key, value = (make.tensor([n, b, width]) for _ in range(3))
    weights = [make.tensor([3 * width, width]), make.tensor([3 * width]), None, None, False, 0.0]
    return [
        query,
        key,
        value,
        width,
        heads,
        *weights,
        make.tensor([width, width]),
        make.tensor([width]),
    ], {}


@recipe("scaled_dot_product_attention")
def dot_product_attention(make: Arguments) -> Call:
    floating(make)
    lead = make.draw([[], [2], [2, 3]])
    n, m, k, v = sizes(make, 4)
    query, key = make.tensor([*lead, n, k]), make.tensor([*lead, m, k])
    return [query, key, make.tensor([*lead, m, v])], {"is_causal": make.chance(0.5)}


@recipe("embedding_bag")
def embedding_bag(make: Arguments) -> Call:
    floating(make)
    rows, width = sizes(make, 2)
    index = make.tensor([2, 3], "int64", low=0, high=rows)
    return [index, make.tensor([rows, width])], {"mode": make.draw(["sum", "mean", "max"])}


@recipe("ctc_loss")
def ctc_loss(make: Arguments) -> Call:
    real(make)
    steps, n, classes = 6, 2, 4
    targets = make.tensor([n, 2], "int64", low=1, high=classes)
    log_probs = make.tensor([steps, n, classes]).log_softmax(2)
    return [log_probs, targets, make.torch.tensor([6, 5]), make.torch.tensor([2, 1])], {}


@recipe("gaussian_nll_loss")
def gaussian_nll_loss(make: Arguments) -> Call:
    real(make)
    pair = [make.tensor(make.base) for _ in range(2)]
    return [*pair, make.tensor(make.base).detach().abs() + 0.1], {"full": make.chance(0.5)}


@recipe("cosine_embedding_loss")
def cosine_embedding_loss(make: Arguments) -> Call:
    floating(make)
    n, d = sizes(make, 2)
    return [make.tensor([n, d]), make.tensor([n, d]), make.tensor([n]).detach().sign()], {}


@recipe("multi_margin_loss")
def multi_margin_loss(make: Arguments) -> Call:
    real(make)
    n, c = sizes(make, 2)
    return [make.tensor([n, c]), make.tensor([n], "int64", low=0, high=c)], {}


@recipe("multilabel_margin_loss")
def multilabel_margin_loss(make: Arguments) -> Call:
    real(make)
    n, c = sizes(make, 2)
    return [make.tensor([n, c]), make.tensor([n, c], "int64", low=-1, high=c)], {}


@recipe("linear_cross_entropy")
def linear_cross_entropy(make: Arguments) -> Call:
    floating(make)
    n, d, c = sizes(make, 3)
    target = make.tensor([n], "int64", low=0, high=c)
    return [make.tensor([n, d]), make.tensor([c, d]), target], {}


@recipe("glu")
def glu(make: Arguments) -> Call:
    floating(make)
    return [make.tensor([3, 4]), make.draw([1, -1])], {}


@recipe("prelu")
def prelu(make: Arguments) -> Call:
    x = image(make)
    return [x, make.tensor([make.draw([1, x.shape[1]])])], {}


@recipe("rrelu", "rrelu_")
def rrelu(make: Arguments) -> Call:
    real(make)
    return [make.tensor(make.base).detach().clone()], {"training": make.chance(0.5)}


def lp_pool(dims: int, make: Arguments) -> Call:
    return [image(make, dims), 2.0, 1], {}


def unpooled(dims: int, make: Arguments) -> Call:
    real(make)
    x = make.tensor([1, 2, *[4] * dims])
    pool = getattr(make.torch.nn.functional, f"max_pool{dims}d")
    return [*pool(x, 2, return_indices=True), 2], {}


def fractional(dims: int, make: Arguments) -> Call:
    real(make)
    return [make.tensor([1, 2, *[5] * dims]), 2], {"output_size": make.draw([1, 3])}


for dims in (1, 2, 3):
    RECIPES[f"lp_pool{dims}d"] = functools.partial(lp_pool, dims)
    RECIPES[f"max_unpool{dims}d"] = functools.partial(unpooled, dims)
    RECIPES[f"fractional_max_pool{dims}d"] = functools.partial(fractional, dims)


RECIPES["functional.unfold"] = lambda make: ([image(make), make.draw([1, 2])], {"padding": 1})
RECIPES["dropout1d"] = lambda make: ([image(make, 1)], {})


@recipe("upsample_bilinear", "upsample_nearest")
def upsample(make: Arguments) -> Call:
    return [image(make)], {"size": sizes(make, 2)}


@recipe("conv_tbc")
def conv_tbc(make: Arguments) -> Call:
    real(make)
    return [make.tensor([5, 2, 3]), make.tensor([2, 3, 4]), make.tensor([4]), make.draw([0, 1])], {}


@recipe("sparse_")
def sparse_init(make: Arguments) -> Call:
    real(make)
    return [make.tensor([4, 3]).detach().clone(), make.draw([0.1, 0.5])], {}


@recipe("skip_init")
def skip_init(make: Arguments) -> Call:
    return [make.torch.nn.Linear, 2, 3], {}


def module_recipe(build: Callable[[Any], list]) -> Callable[[Arguments], Call]:
    return lambda make: (build(make.torch), {})


RECIPES["spectral_norm"] = RECIPES["weight_norm"] = RECIPES["summary"] = module_recipe(
    lambda torch: [torch.nn.Linear(2, 3)]
)
RECIPES["remove_spectral_norm"] = module_recipe(
    lambda torch: [torch.nn.utils.spectral_norm(torch.nn.Linear(2, 3))]
)
RECIPES["remove_weight_norm"] = module_recipe(
    lambda torch: [torch.nn.utils.weight_norm(torch.nn.Linear(2, 3))]
)
RECIPES["fuse_conv_bn_eval"] = module_recipe(
    lambda torch: [torch.nn.Conv2d(1, 2, 1).eval(), torch.nn.BatchNorm2d(2).eval()]
)
RECIPES["fuse_linear_bn_eval"] = module_recipe(
    lambda torch: [torch.nn.Linear(1, 2).eval(), torch.nn.BatchNorm1d(2).eval()]
)
for dims in (2, 3):
    RECIPES[f"convert_conv{dims}d_weight_memory_format"] = module_recipe(
        lambda torch: [torch.nn.Conv2d(1, 2, 1), torch.channels_last]
    )


@recipe("jacobian", "hessian")
def derivative(make: Arguments) -> Call:
    real(make)
    return [lambda x: (x**3).sum(), make.tensor([2])], {}


@recipe("vjp", "jvp", "vhp", "hvp")
def product_with_derivative(make: Arguments) -> Call:
    real(make)
    return [lambda x: (x**3).sum(), make.tensor([2]), *([make.tensor([2])] * 1)], {}


@recipe("vjp")
def vjp(make: Arguments) -> Call:
    real(make)
    return [lambda x: x**3, make.tensor([2]), make.tensor([2])], {}


@recipe("kl_divergence")
def kl_divergence(make: Arguments) -> Call:
    d = make.torch.distributions
    return [d.Normal(0.0, abs(make.number()) + 0.1), d.Normal(make.number(), 1.0)], {}


@recipe("biject_to", "transform_to")
def constraint(make: Arguments) -> Call:
    constraints = make.torch.distributions.constraints
    return [make.draw([constraints.positive, constraints.simplex, constraints.real])], {}


@recipe("handle_torch_function")
def handled(make: Arguments) -> Call:
    class Like:
        @classmethod
        def __torch_function__(
            cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> int:
            return 0

    return [make.torch.add, (Like(),), Like(), 1], {}


@recipe("register_kl")
def register_kl(make: Arguments) -> Call:
    class Own(make.torch.distributions.Normal):
        pass

    return [Own, Own], {}


@recipe("saved_tensors_hooks", "get_gradient_edge")
def gradient_edge(make: Arguments) -> Call:
    real(make)
    return [make.tensor([2]).detach().requires_grad_(True)], {}


@recipe("set_default_dtype")
def set_default_dtype(make: Arguments) -> Call:
    return [getattr(make.torch, make.draw(FLOATS))], {}


@recipe("set_default_tensor_type")
def set_default_tensor_type(make: Arguments) -> Call:
    return [make.draw(["torch.FloatTensor", "torch.DoubleTensor"])], {}


@recipe("set_flush_denormal", "set_autocast_enabled", "set_warn_always")
def flag(make: Arguments) -> Call:
    return [make.chance(0.5)], {}


@recipe("get_autocast_dtype")
def autocast_device(make: Arguments) -> Call:
    return [make.draw(["cpu", "cuda"])], {}


@recipe("set_autocast_dtype")
def autocast_dtype(make: Arguments) -> Call:
    return ["cpu", make.torch.bfloat16], {}


@recipe("get_device_module")
def device_module(make: Arguments) -> Call:
    return [make.draw([None, "cpu", "cuda"])], {}
