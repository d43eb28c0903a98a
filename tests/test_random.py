"""The random streams: recomputed from mt19937's words in numpy, and compared with PyTorch's."""

from __future__ import annotations

import struct
from fractions import Fraction

import ember
import ember.nn.functional as F
import numpy as np
import pytest

SEED = 1234
FLOATS = [ember.float16, ember.bfloat16, ember.float32, ember.float64]
INTEGERS = [ember.uint8, ember.int8, ember.int16, ember.int32, ember.int64]
LENGTHS = [0, 1, 15, 16, 17, 33, 623, 624, 625, 2051]  # around blocks, refills and buffers


class Stream:
    """Words of mt19937 and what is made of them, as ``api/rng.md`` says it."""

    def __init__(self, seed: int = SEED) -> None:
        self.source = np.random.RandomState(seed & 0xFFFFFFFF)._bit_generator
        self.kept: float | None = None

    def words(self, n: int) -> np.ndarray:
        return self.source.random_raw(n).astype(np.uint64) if n else np.zeros(0, np.uint64)

    def pairs(self, n: int) -> np.ndarray:
        words = self.words(2 * n)
        return (words[0::2] << np.uint64(32)) | words[1::2]

    def f24(self, n: int) -> np.ndarray:
        return (self.words(n) & np.uint64(0xFFFFFF)).astype(np.float32) * np.float32(2**-24)

    def f53(self, n: int) -> np.ndarray:
        return (self.pairs(n) & np.uint64(2**53 - 1)).astype(np.float64) * 2.0**-53

    def below(self, n: int, bound: int) -> np.ndarray:
        draws = self.words(n) if bound < 2**28 else self.pairs(n)
        return (draws % np.uint64(bound)).astype(np.int64)

    def normal_blocks(self, n: int, dtype: ember.dtype) -> np.ndarray:
        kind = np.float64 if dtype == ember.float64 else np.float32

        def draw(count: int) -> np.ndarray:
            return self.f53(count) if kind is np.float64 else self.f24(count)

        def transform(x: np.ndarray) -> np.ndarray:
            u1, u2 = kind(1) - x[:8], x[8:]
            radius = np.sqrt(kind(-2) * np.log(u1))
            angle = kind(2 * np.pi) * u2
            return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])

        half = dtype in (ember.float16, ember.bfloat16)
        x = draw(n - n % 16 if half else n)
        blocks = [transform(x[i : i + 16]) for i in range(0, n - 15, 16)]
        out = np.concatenate([*blocks, np.zeros(n % 16, kind)])
        if n % 16:
            out[-16:] = transform(draw(16))
        return out

    def normal_one_by_one(self, n: int) -> np.ndarray:
        out = []
        for _ in range(n):
            if self.kept is None:
                u1, u2 = self.f53(2)
                radius = np.sqrt(-2 * np.log1p(-u2))
                out.append(radius * np.cos(2 * np.pi * u1))
                self.kept = radius * np.sin(2 * np.pi * u1)
            else:
                out.append(self.kept)
                self.kept = None
        return np.array(out)

    def permutation(self, n: int) -> np.ndarray:
        out = np.arange(n)
        for i, word in enumerate(self.words(n - 1) if n > 1 else ()):
            j = i + int(word) % (n - i)
            out[i], out[j] = out[j], out[i]
        return out


@pytest.fixture(autouse=True)
def seeded():
    ember.manual_seed(SEED)


def numbers(t: ember.Tensor) -> np.ndarray:
    return t.double().numpy() if t.dtype.is_floating_point else t.numpy()


def rounded(x: np.ndarray, dtype: ember.dtype) -> np.ndarray:
    """``x`` in float64 as it is after a cast to ``dtype``."""
    if dtype == ember.float64:
        return x.astype(np.float64)
    if dtype == ember.bfloat16:
        bits = x.astype(np.float32).view(np.uint32)
        bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
        return bits.astype(np.uint32).view(np.float32).astype(np.float64)
    with np.errstate(over="ignore"):
        return x.astype(np.float16 if dtype == ember.float16 else np.float32).astype(np.float64)


def check(actual: ember.Tensor, expected: np.ndarray, stream: Stream) -> None:
    """Equal numbers, and as many words drawn."""
    np.testing.assert_array_equal(numbers(actual), expected)
    check_position(stream)


def check_position(stream: Stream) -> None:
    assert ember.randint(0, 2**20, (1,)).item() == stream.below(1, 2**20)[0]


# ---- Uniform


def fused(u: np.ndarray, low: float, high: float, kind: type) -> np.ndarray:
    """``u * (high - low) + low`` rounded once to ``kind``."""
    low, width = Fraction(float(kind(low))), Fraction(float(kind(high) - kind(low)))
    exact = [Fraction(float(x)) * width + low for x in u]
    if kind is np.float64:
        return np.array([float(x) for x in exact], np.float64)
    # float() rounds to double first: step back to the exact value when that lands on a midpoint.
    out = []
    for x in exact:
        nearest = np.float32(float(x))
        candidates = [np.nextafter(nearest, np.float32(s)) for s in (-np.inf, np.inf)]
        best = min([nearest, *candidates], key=lambda c: abs(Fraction(float(c)) - x))
        out.append(best)
    return np.array(out, np.float32)


@pytest.mark.parametrize("bounds", [(0, 1), (-0.3, 0.7), (1, 1.01), (1, 1 + 2**-20), (2, 2)])
@pytest.mark.parametrize("dtype", FLOATS)
def test_uniform(dtype, bounds):
    stream, (low, high) = Stream(), bounds
    wide = dtype == ember.float64
    u = stream.f53(700) if wide else stream.f24(700)
    x = rounded(fused(u, low, high, np.float64 if wide else np.float32), dtype)
    ends = rounded(np.array([low, high]), dtype)
    x[x == ends[1]] = ends[0]  # the upper bound is never reached
    check(ember.empty(700, dtype=dtype).uniform_(low, high), x, stream)


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("dtype", [ember.float32, ember.float64])
def test_rand(dtype, n):
    stream = Stream()
    expected = stream.f53(n) if dtype == ember.float64 else stream.f24(n)
    check(ember.rand(n, dtype=dtype), expected, stream)


def test_memory_order():
    stream = Stream()
    t = ember.empty(7, 5, 3).permute(2, 0, 1)
    t.uniform_()
    np.testing.assert_array_equal(t.permute(1, 2, 0).numpy(), stream.f24(105).reshape(7, 5, 3))
    sliced = ember.zeros(6, 8)[:, ::2]
    sliced.uniform_()
    check(sliced, stream.f24(24).reshape(6, 4), stream)


# ---- Normal


@pytest.mark.parametrize("n", [n for n in LENGTHS if n >= 16])
@pytest.mark.parametrize("dtype", FLOATS)
def test_normal_in_blocks(dtype, n):
    stream = Stream()
    x = stream.normal_blocks(n, dtype) * (2 if dtype == ember.float64 else np.float32(2))
    expected = rounded(x + x.dtype.type(0.5), dtype)
    actual = numbers(ember.empty(n, dtype=dtype).normal_(0.5, 2))
    # Polynomials for log, sin and cos differ in the last places; halves may round otherwise then.
    ulp = {ember.float16: 2**-10, ember.bfloat16: 2**-7, ember.float32: 2**-22}
    tolerance = ulp.get(dtype, 2**-50) * np.maximum(1, np.abs(expected))
    assert np.all(np.abs(actual - expected) <= tolerance)
    if n == 33:
        assert np.mean(actual == expected) > 0.3
    check_position(stream)


@pytest.mark.parametrize("n", [n for n in LENGTHS if n < 16])
@pytest.mark.parametrize("dtype", FLOATS)
def test_normal_one_by_one(dtype, n):
    stream = Stream()
    x = stream.normal_one_by_one(n)
    actual = ember.randn(n, dtype=dtype)
    np.testing.assert_allclose(numbers(actual), rounded(x, dtype), rtol=2e-15, atol=0)
    check_position(stream)


def test_normal_keeps_the_sine():
    stream = Stream()
    x = stream.normal_one_by_one(4)
    first = ember.randn(3)
    ember.rand(5)
    ember.randn(20)
    last = ember.randn(1, dtype=ember.float64)
    np.testing.assert_allclose(numbers(first), x[:3], rtol=1e-7)
    np.testing.assert_allclose(numbers(last), x[3:], rtol=1e-15)
    ember.randn(1)
    ember.manual_seed(SEED)
    assert ember.randn(1).item() == first[0].item()


def test_normal_of_a_slice_goes_one_by_one():
    stream = Stream()
    t = ember.zeros(10, 8)[:, ::2]
    t.normal_()
    np.testing.assert_allclose(numbers(t).ravel(), stream.normal_one_by_one(40), rtol=1e-7)


def test_normal_with_tensors():
    mean, std = ember.arange(20).float(), ember.full((20,), 0.25)
    drawn = ember.normal(mean, std)
    ember.manual_seed(SEED)
    np.testing.assert_allclose(
        drawn.numpy(), ember.randn(20).numpy() * 0.25 + mean.numpy(), rtol=1e-6
    )


# ---- Whole numbers


@pytest.mark.parametrize(
    "bound", [1, 2, 100, 2**28 - 1, 2**28, 2**31 + 1, 2**32, 2**40 + 7, 2**62 + 5]
)
def test_randint(bound):
    stream = Stream()
    check(ember.randint(-7, bound - 7, (700,)), stream.below(700, bound) - 7, stream)


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
def test_randint_dtypes(dtype):
    stream = Stream()
    check(ember.randint(3, 103, (700,), dtype=dtype), stream.below(700, 100) + 3, stream)


@pytest.mark.parametrize(
    ("dtype", "bound"),
    [
        (ember.bool, 2),
        (ember.uint8, 2**8),
        (ember.int8, 2**7),
        (ember.int16, 2**15),
        (ember.int32, 2**31),
        (ember.int64, 2**63),
        (ember.bfloat16, 2**8 + 1),
        (ember.float16, 2**11 + 1),
        (ember.float32, 2**24 + 1),
        (ember.float64, 2**53 + 1),
    ],
)
def test_random_without_bounds(dtype, bound):
    stream = Stream()
    draws = stream.pairs(700) if dtype in (ember.int64, ember.float64) else stream.words(700)
    check(ember.empty(700, dtype=dtype).random_(), (draws % np.uint64(bound)).astype(int), stream)


@pytest.mark.parametrize("n", LENGTHS)
def test_randperm(n):
    stream = Stream()
    check(ember.randperm(n), stream.permutation(n), stream)


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
def test_randperm_dtypes(dtype):
    stream = Stream()
    check(ember.randperm(120, dtype=dtype), stream.permutation(120), stream)


# ---- Trials


@pytest.mark.parametrize("p", [0.0, 0.3, 1 / 3, 0.5, 1.0])
@pytest.mark.parametrize("dtype", [ember.bool, *INTEGERS, *FLOATS])
def test_bernoulli_number(dtype, p):
    stream = Stream()
    check(ember.empty(700, dtype=dtype).bernoulli_(p), stream.f53(700) < p, stream)


@pytest.mark.parametrize("dtype", FLOATS)
def test_bernoulli_tensor(dtype):
    p = ember.arange(700).to(dtype) / 700
    stream = Stream()
    u = stream.f53(700) if dtype == ember.float64 else stream.f24(700)
    check(ember.bernoulli(p), u < numbers(p), stream)


def test_bernoulli_tensor_strided():
    p = (ember.arange(60).float() / 60).reshape(6, 10)
    stream = Stream()
    expected = stream.f24(60).reshape(10, 6) < p.t().numpy()
    check(ember.bernoulli(p.t().contiguous()), expected, stream)


@pytest.mark.parametrize("n", [n for n in LENGTHS if n > 0])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.999])
@pytest.mark.parametrize("dtype", FLOATS)
def test_dropout(dtype, p, n):
    x = (ember.arange(n).to(ember.float64) / 7 - 20).to(dtype)
    stream = Stream()
    kind = np.float64 if dtype == ember.float64 else np.float32
    factor = (stream.f53(n) < 1 - p) * rounded(np.array([kind(1) / kind(1 - p)]), dtype)
    expected = rounded((numbers(x).astype(kind) * factor.astype(kind)), dtype)
    check(F.dropout(x, p), expected, stream)


def test_dropout_keeps_what_is_not_finite():
    x = ember.tensor([float("inf"), float("nan"), -1.0] * 200)
    out = F.dropout(x, 0.5).numpy().reshape(200, 3)
    kept = out[:, 2] != 0
    assert np.all(np.isinf(out[:, 0]) == (Stream().f53(600) < 0.5).reshape(200, 3)[:, 0])
    assert np.all(np.isnan(out[:, 1]))
    assert np.all(np.signbit(out[~kept, 2]))  # -1 * 0 is -0


def test_dropout_gradient_is_the_mask():
    x = ember.ones(1000, requires_grad=True)
    out = F.dropout(x, 0.3)
    out.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), out.detach().numpy())


# ---- Exponential and multinomial


@pytest.mark.parametrize("dtype", FLOATS)
def test_exponential(dtype):
    stream = Stream()
    expected = rounded(-np.log1p(-stream.f53(700)) / 1.7, dtype)
    actual = numbers(ember.empty(700, dtype=dtype).exponential_(1.7))
    one_place = {ember.float16: 1e-3, ember.bfloat16: 8e-3, ember.float32: 1.2e-7}
    np.testing.assert_allclose(actual, expected, rtol=one_place.get(dtype, 1e-15))
    assert np.mean(actual == expected) > 0.8
    check_position(stream)


def test_multinomial_one_sample():
    weights = ember.arange(1, 9).double().repeat(50, 1)
    stream = Stream()
    q = -np.log1p(-stream.f53(400)).reshape(50, 8)
    expected = np.argmax(weights.numpy() / q, axis=1)[:, None]
    check(ember.multinomial(weights, 1), expected, stream)


def test_multinomial_without_replacement():
    weights = ember.arange(1, 9).double().repeat(50, 1)
    stream = Stream()
    q = -np.log1p(-stream.f53(400)).reshape(50, 8)
    expected = np.argsort(-(weights.numpy() / q), axis=1)[:, :5]
    check(ember.multinomial(weights, 5), expected, stream)


def test_multinomial_with_replacement():
    weights = ember.arange(1, 9).double()
    stream = Stream()
    distribution = np.cumsum(weights.numpy() / weights.numpy().sum())
    expected = np.searchsorted(distribution, stream.f53(500))
    check(ember.multinomial(weights, 500, replacement=True), expected, stream)


# ---- Generators and their state


def test_generators_are_independent():
    ours = ember.Generator().manual_seed(7)
    first = ember.rand(5, generator=ours)
    default = ember.rand(5)
    again = ember.rand(5, generator=ember.Generator().manual_seed(7))
    assert ember.equal(first, again)
    np.testing.assert_array_equal(default.numpy(), Stream().f24(5))
    assert ours.initial_seed() == 7
    assert ember.Generator().initial_seed() == 67280421310721


def test_seed_is_fresh():
    ours = ember.Generator()
    seeds = {ours.seed() for _ in range(3)}
    assert len(seeds) == 3
    assert ours.initial_seed() in seeds


@pytest.mark.parametrize("seed", [0, 2**32 + 5, -3, 2**63 - 1, -(2**63), 2**64 - 1])
def test_seeds(seed):
    ember.manual_seed(seed)
    assert ember.initial_seed() == seed % 2**64
    np.testing.assert_array_equal(ember.rand(5).numpy(), Stream(seed).f24(5))


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1])
def test_seeds_outside_64_bits(seed):
    with pytest.raises((ValueError, RuntimeError)):
        ember.manual_seed(seed)


@pytest.mark.parametrize("drawn", [0, 1, 623, 624, 625])
def test_state_restores(drawn):
    ember.rand(drawn)
    ember.randn(1)
    state = ember.get_rng_state()
    expected = ember.randn(3), ember.rand(700)
    ember.manual_seed(0)
    ember.set_rng_state(state)
    assert ember.equal(ember.get_rng_state(), state)
    assert ember.equal(ember.randn(3), expected[0])
    assert ember.equal(ember.rand(700), expected[1])


def test_state_layout():
    ember.rand(3)
    ember.randn(1)
    state = bytes(ember.get_rng_state().numpy())
    assert len(state) == 5056
    seed, left, seeded, index = struct.unpack_from("<QiiQ", state)
    assert (seed, left, seeded, index) == (SEED, 624 - 7 + 1, 1, 7)
    sine, _, valid = struct.unpack_from("<ddi", state, 24 + 8 * 624 + 8)
    stream = Stream()
    stream.words(3)
    stream.normal_one_by_one(1)
    assert valid == 1
    assert sine == pytest.approx(stream.kept, rel=1e-15)


def test_states_that_are_none():
    before = ember.get_rng_state()
    broken = before.clone()
    broken[8:12] = 255  # words left until the next refill: far too many
    for bad in (before[:-1], ember.zeros(5056, dtype=ember.uint8), broken):
        with pytest.raises(RuntimeError):
            ember.set_rng_state(bad)
    with pytest.raises(TypeError):
        ember.set_rng_state(before.float())
    assert ember.equal(ember.get_rng_state(), before)


@pytest.mark.parametrize(
    "call",
    [
        lambda: ember.empty(3).uniform_(3, 2),
        lambda: ember.empty(3).uniform_(0, float("inf")),
        lambda: ember.empty(3).uniform_(-1e308, 1e308),
        lambda: ember.empty(3).normal_(0, -1),
        lambda: ember.empty(3).bernoulli_(1.5),
        lambda: ember.empty(3).bernoulli_(float("nan")),
        lambda: ember.empty(3).exponential_(0),
        lambda: ember.bernoulli(ember.tensor([0.5, 1.5])),
        lambda: ember.empty(3, dtype=ember.int64).normal_(),
        lambda: ember.randn(3, dtype=ember.int32),
        lambda: ember.randint(5, 5, (3,)),
        lambda: ember.randint(0, 300, (3,), dtype=ember.uint8),
        lambda: ember.randperm(-1),
        lambda: ember.randperm(300, dtype=ember.uint8),
        lambda: ember.rand(-1),
        lambda: ember.multinomial(ember.tensor([0.0, 0.0]), 1),
        lambda: ember.multinomial(ember.tensor([-1.0, 2.0]), 1),
        lambda: ember.multinomial(ember.tensor([1.0, 2.0]), 3),
        lambda: F.dropout(ember.ones(3), 1.5),
    ],
)
def test_bad_arguments(call):
    with pytest.raises((RuntimeError, ValueError)):
        call()
    stream = Stream()
    check_position(stream)  # nothing was drawn


# ---- Against PyTorch itself

CALLS = {
    "rand": lambda t: t.rand(1001),
    "rand_half": lambda t: t.rand(1001, dtype=t.bfloat16),
    "uniform": lambda t: t.empty(33, 31).uniform_(-0.2, 0.7),
    "uniform_double": lambda t: t.empty(1001, dtype=t.float64).uniform_(-0.2, 0.7),
    "randn_few": lambda t: t.randn(9),
    "randint": lambda t: t.randint(-3, 1000, (1001,)),
    "randint_wide": lambda t: t.randint(0, 2**40, (1001,)),
    "random": lambda t: t.empty(1001, dtype=t.int64).random_(),
    "randperm": lambda t: t.randperm(1001),
    "bernoulli": lambda t: t.empty(1001).bernoulli_(0.3),
    "bernoulli_tensor": lambda t: t.bernoulli(t.full((1001,), 0.3)),
    "dropout": lambda t: t.nn.functional.dropout(t.arange(1001).float(), 0.3),
    "dropout_half": lambda t: t.nn.functional.dropout(t.arange(250).to(t.float16), 0.3),
    "multinomial": lambda t: t.multinomial(t.arange(1, 30).double(), 12),
    "multinomial_replacement": lambda t: t.multinomial(t.arange(1, 30).double(), 500, True),
}


@pytest.fixture
def torch():
    torch = pytest.importorskip("torch")
    torch.manual_seed(SEED)
    return torch


def draws_trials_by_words(torch) -> bool:
    """On some processors PyTorch leaves trials to a library with streams of its own."""
    torch.manual_seed(SEED)
    drawn = torch.empty(100).bernoulli_(0.5).numpy()
    torch.manual_seed(SEED)
    return np.array_equal(drawn, Stream().f53(100) < 0.5)


@pytest.mark.parametrize("name", CALLS)
def test_equals_pytorch(torch, name):
    needs_trials = name.startswith(("bernoulli", "dropout", "multinomial"))
    if needs_trials and not draws_trials_by_words(torch):
        pytest.skip("this PyTorch draws trials through another library here")
    for _ in range(2):
        ours, theirs = CALLS[name](ember), CALLS[name](torch)
        np.testing.assert_array_equal(ours.double().numpy(), theirs.double().numpy())
    assert bytes(ember.get_rng_state().numpy()) == bytes(torch.get_rng_state().numpy())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal_close_to_pytorch(torch, dtype):
    ours = ember.randn(10001, dtype=getattr(ember, dtype)).double().numpy()
    theirs = torch.randn(10001, dtype=getattr(torch, dtype)).double().numpy()
    tolerance = 5e-7 if dtype == "float32" else 1e-15
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
    assert bytes(ember.get_rng_state().numpy()) == bytes(torch.get_rng_state().numpy())


def test_states_interchange(torch):
    torch.randn(3)
    torch.rand(100)
    ember.set_rng_state(ember.from_numpy(torch.get_rng_state().numpy()))
    assert ember.randn(1).item() == torch.randn(1).item()
    np.testing.assert_array_equal(ember.rand(700).numpy(), torch.rand(700).numpy())
    torch.set_rng_state(torch.from_numpy(ember.get_rng_state().numpy()))
    np.testing.assert_array_equal(ember.rand(700).numpy(), torch.rand(700).numpy())


def test_fork_rng_brings_the_state_back():
    ember.manual_seed(3)
    expected = ember.rand(2).numpy()
    ember.manual_seed(3)
    for device_type in ("cuda", "cpu"):
        with ember.random.fork_rng(device_type=device_type):
            ember.manual_seed(8)
            ember.rand(5)
    assert (ember.rand(2).numpy() == expected).all()
    ember.manual_seed(3)
    with pytest.raises(ValueError), ember.random.fork_rng():
        ember.rand(1)
        raise ValueError
    assert (ember.rand(2).numpy() == expected).all()
    ember.manual_seed(3)
    with ember.random.fork_rng(enabled=False):
        ember.rand(2)
    assert (ember.rand(2).numpy() != expected).any()
    with pytest.raises(RuntimeError, match="device_type"), ember.random.fork_rng(device_type="x"):
        pass
