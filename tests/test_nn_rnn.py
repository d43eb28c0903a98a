"""Recurrent modules and packed sequences against PyTorch: start, repr, values, gradients, errors."""

import copy
import pickle
import warnings

import ember
import numpy as np
import pytest
from ember.nn.utils import rnn as ours_rnn
from opspecs import counts

torch = pytest.importorskip("torch")
from torch.nn.utils import rnn as theirs_rnn  # noqa: E402 - after the check that it is there

RNG = np.random.default_rng(11)
NETWORKS = [
    ("RNN", (5, 4), {}),
    ("RNN", (5, 4, 2, "relu"), {"bidirectional": True}),
    ("RNN", (5, 4), {"nonlinearity": "relu", "bias": False, "batch_first": True}),
    ("LSTM", (5, 4), {}),
    ("LSTM", (5, 4, 3), {"dropout": 0.4}),
    ("LSTM", (5, 4, 2), {"bidirectional": True, "batch_first": True, "bias": False}),
    ("LSTM", (5, 4, 2), {"bidirectional": True, "proj_size": 3}),
    ("LSTM", (5, 4), {"proj_size": 2, "batch_first": True}),
    ("GRU", (5, 4), {}),
    ("GRU", (5, 4, 2, False, True, 0.3, True), {}),
    ("GRU", (5, 4, 2), {"bidirectional": True}),
]
CELLS = [
    ("RNNCell", (5, 4), {}),
    ("RNNCell", (5, 4, False, "relu"), {}),
    ("LSTMCell", (5, 4), {}),
    ("LSTMCell", (5, 4), {"bias": False}),
    ("GRUCell", (5, 4), {}),
    ("GRUCell", (5, 4, False), {}),
]


def ids(rows):
    return [f"{name}{args}{kwargs or ''}" for name, args, kwargs in rows]


def build(lib, name, args, kwargs, seed=5):
    lib.manual_seed(seed)
    return getattr(lib.nn, name)(*args, **kwargs)


def both(name, args, kwargs):
    return build(ember, name, args, kwargs), build(torch, name, args, kwargs)


def numpy(t):
    return t.detach().numpy()


def leaves(x):
    """Tensors of nested tuples in order; a packed sequence counts with all its fields."""
    if isinstance(x, (tuple, list)):
        return [leaf for item in x for leaf in leaves(item)]
    return [] if x is None else [x]


def close(ours, theirs, where=""):
    ours, theirs = leaves(ours), leaves(theirs)
    assert len(ours) == len(theirs), where
    for a, b in zip(ours, theirs, strict=True):
        assert tuple(a.shape) == tuple(b.shape), f"{where}: {a.shape} for {b.shape}"
        np.testing.assert_allclose(numpy(a), numpy(b), rtol=1e-9, atol=1e-11, err_msg=where)


@pytest.mark.parametrize("name, args, kwargs", NETWORKS + CELLS, ids=ids(NETWORKS + CELLS))
def test_start_and_repr(name, args, kwargs):
    ours, theirs = both(name, args, kwargs)
    assert repr(ours) == repr(theirs)
    expected = theirs.state_dict()
    assert list(ours.state_dict()) == list(expected)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    for key, value in ours.state_dict().items():
        assert tuple(value.shape) == tuple(expected[key].shape), key
        np.testing.assert_array_equal(numpy(value), numpy(expected[key]), err_msg=key)
    if hasattr(theirs, "all_weights"):
        for mine, reference in zip(ours.all_weights, theirs.all_weights, strict=True):
            assert [tuple(w.shape) for w in mine] == [tuple(w.shape) for w in reference]
        assert ours.all_weights[0][0] is ours.weight_ih_l0


def initial(name, kwargs, args, batch):
    """Initial states in numpy: (hx,) or (h, c), without a batch for batch None."""
    layers = args[2] if len(args) > 2 else kwargs.get("num_layers", 1)
    twice = kwargs.get("bidirectional", len(args) > 6 and args[6])
    shape = (layers * (2 if twice else 1), *(() if batch is None else (batch,)))
    widths = (kwargs.get("proj_size", 4), 4) if name == "LSTM" else (4,)
    return [RNG.uniform(-1, 1, (*shape, w)) for w in widths]


def outcome(lib, module, arrays, states, seed=3):
    """Outputs, and gradients of inputs, initial states and parameters."""
    module = copy.deepcopy(module).double()
    module.flatten_parameters() if hasattr(module, "flatten_parameters") else None
    inputs = [lib.from_numpy(a.copy()).requires_grad_() for a in arrays]
    hx = None
    if states is not None:
        held = [lib.from_numpy(s.copy()).requires_grad_() for s in states]
        inputs += held
        hx = tuple(held) if len(held) == 2 else held[0]
    lib.manual_seed(seed)
    result = module(inputs[0], hx)
    outputs = leaves(result)
    weights = [
        lib.from_numpy(np.linspace(0.5, 1.5, y.numel()).reshape(tuple(y.shape))) for y in outputs
    ]
    total = sum((y * w).sum() for y, w in zip(outputs, weights, strict=True))
    total.backward()
    return result, [t.grad for t in (*inputs, *module.parameters())]


@pytest.mark.parametrize("given", [False, True], ids=["zeros", "given"])
@pytest.mark.parametrize("batch", [None, 3], ids=["unbatched", "batched"])
@pytest.mark.parametrize("name, args, kwargs", NETWORKS, ids=ids(NETWORKS))
def test_networks(name, args, kwargs, batch, given):
    ours, theirs = both(name, args, kwargs)
    first = kwargs.get("batch_first", len(args) > 4 and args[4])
    shape = (6, 5) if batch is None else (batch, 6, 5) if first else (6, batch, 5)
    x = RNG.uniform(-1, 1, shape)
    states = initial(name, kwargs, args, batch) if given else None
    a, b = outcome(ember, ours, [x], states), outcome(torch, theirs, [x], states)
    assert isinstance(a[0][1], tuple) == isinstance(b[0][1], tuple)
    assert a[0][0].stride() == b[0][0].stride()
    close(a, b)
    counts.add("modules", name, 1)


@pytest.mark.parametrize("given", [False, True], ids=["zeros", "given"])
@pytest.mark.parametrize("batch", [None, 3], ids=["unbatched", "batched"])
@pytest.mark.parametrize("name, args, kwargs", CELLS, ids=ids(CELLS))
def test_cells(name, args, kwargs, batch, given):
    ours, theirs = both(name, args, kwargs)
    lead = () if batch is None else (batch,)
    x = RNG.uniform(-1, 1, (*lead, 5))
    count = 2 if name == "LSTMCell" else 1
    states = [RNG.uniform(-1, 1, (*lead, 4)) for _ in range(count)] if given else None
    close(outcome(ember, ours, [x], states), outcome(torch, theirs, [x], states))
    counts.add("modules", name, 1)


@pytest.mark.parametrize("order", [[5, 3, 3, 1], [2, 5, 1, 4]], ids=["sorted", "unsorted"])
@pytest.mark.parametrize("name, args, kwargs", NETWORKS, ids=ids(NETWORKS))
def test_packed(name, args, kwargs, order):
    sequences = [RNG.uniform(-1, 1, (n, 5)) for n in order]
    states = initial(name, kwargs, args, len(order))
    found = []
    for lib, utils, module in zip(
        (ember, torch), (ours_rnn, theirs_rnn), both(name, args, kwargs), strict=True
    ):
        module.double().eval()
        inputs = [lib.from_numpy(s.copy()).requires_grad_() for s in sequences]
        held = [lib.from_numpy(s.copy()).requires_grad_() for s in states]
        packed = utils.pack_sequence(inputs, enforce_sorted=order[0] == 5)
        out, hx = module(packed, tuple(held) if len(held) == 2 else held[0])
        without, _ = module(packed)
        padded, lengths = utils.pad_packed_sequence(out, True, -1.0, 7)
        total = (padded * lib.arange(padded.numel()).reshape(padded.shape)).sum()
        (total + sum(h.sin().sum() for h in leaves(hx))).backward()
        grads = [t.grad for t in (*inputs, *held, *module.parameters())]
        found.append((tuple(out), hx, tuple(without), padded, lengths, grads))
    close(*found)


def test_states_change_in_place_after_the_network():
    for name in ("RNN", "LSTM", "GRU"):
        module = build(ember, name, (3, 4), {})
        x = ember.randn(5, 2, 3, requires_grad=True)
        out, _ = module(x)
        plain = ember.autograd.grad(out.relu().sum(), x, retain_graph=True)[0]
        changed = ember.autograd.grad(out.relu_().sum(), x)[0]
        np.testing.assert_array_equal(numpy(plain), numpy(changed))


def test_second_derivatives_reach_the_weights():
    grads = []
    for lib, module in zip((ember, torch), both("GRU", (3, 4, 2), {}), strict=True):
        module.double()
        x = lib.from_numpy(np.linspace(-1, 1, 24).reshape(4, 2, 3)).requires_grad_()
        (slope,) = lib.autograd.grad(module(x)[0].sum(), x, create_graph=True)
        slope.square().sum().backward()
        grads.append([p.grad for p in module.parameters()])
    for a, b in zip(*grads, strict=True):
        expected = np.zeros(tuple(a.shape)) if b is None else numpy(b)
        np.testing.assert_allclose(numpy(a), expected, rtol=1e-9, atol=1e-12)


def test_copies_keep_their_own_weights():
    module = build(ember, "LSTM", (3, 4), {})
    x = ember.randn(2, 1, 3)
    expected = numpy(module(x)[0])
    pickled = ember.nn.LSTM.__new__(ember.nn.LSTM)
    state = copy.deepcopy(module.__getstate__())
    pickled.__setstate__(state | {"_flat_weights": list(module.parameters())})  # as PyTorch's is
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), pickled):
        np.testing.assert_array_equal(numpy(other(x)[0]), expected)
        with ember.no_grad():
            other.weight_ih_l0.zero_()
        assert not np.array_equal(numpy(other(x)[0]), expected)
    module.weight_hh_l0 = ember.nn.Parameter(ember.zeros(16, 4))
    assert not np.array_equal(numpy(module(x)[0]), expected)


def test_halves_round_once():
    for name in ("RNN", "LSTM", "GRU"):
        module = build(ember, name, (3, 4, 2), {}).bfloat16()
        x = ember.randn(5, 2, 3).bfloat16()
        out, _ = module(x)
        exact = copy.deepcopy(module).float()(x.float())[0]
        assert out.dtype == ember.bfloat16
        np.testing.assert_array_equal(
            out.float().detach().numpy(), exact.bfloat16().float().detach().numpy()
        )


def raises_alike(call):
    """call(lib, utils) raises the same type from both libraries."""
    types = []
    for lib, utils in ((ember, ours_rnn), (torch, theirs_rnn)):
        with pytest.raises(Exception) as info, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call(lib, utils)
        types.append(info.type)
    assert issubclass(types[0], types[1]) or issubclass(types[1], types[0]), types


@pytest.mark.parametrize(
    "name, args, kwargs",
    [
        ("LSTM", (0, 4), {}),
        ("LSTM", (3, 0), {}),
        ("LSTM", (3, 4, 0), {}),
        ("LSTM", (3.0, 4), {}),
        ("LSTM", (3, 4.0), {}),
        ("GRU", (3, 4), {"bias": 1}),
        ("GRU", (3, 4), {"batch_first": None}),
        ("GRU", (3, 4), {"dropout": 1.5}),
        ("GRU", (3, 4), {"dropout": True}),
        ("GRU", (3, 4), {"proj_size": 2}),
        ("RNN", (3, 4), {"proj_size": 2}),
        ("RNN", (3, 4), {"nonlinearity": "sigmoid"}),
        ("LSTM", (3, 4), {"proj_size": 4}),
        ("LSTM", (3, 4), {"proj_size": -1}),
        ("RNNBase", ("RNN", 3, 4), {}),
        ("GRU", (3, 4), {"hidden": 2}),
    ],
)
def test_bad_options(name, args, kwargs):
    raises_alike(lambda lib, _: getattr(lib.nn, name)(*args, **kwargs))


def test_useless_dropout_warns():
    with pytest.warns(UserWarning, match="dropout"):
        ember.nn.LSTM(3, 4, dropout=0.5)


BAD_CALLS = {
    "width": lambda lib: (lib.zeros(2, 1, 4), None),
    "rank": lambda lib: (lib.zeros(2, 1, 1, 3), None),
    "dtype": lambda lib: (lib.zeros(2, 1, 3).double(), None),
    "no step": lambda lib: (lib.zeros(0, 1, 3), None),
    "states": lambda lib: (lib.zeros(2, 1, 3), lib.zeros(1, 2, 4)),
    "layers of states": lambda lib: (lib.zeros(2, 1, 3), lib.zeros(2, 1, 4)),
    "rank of states": lambda lib: (lib.zeros(2, 1, 3), lib.zeros(1, 4)),
    "rank of unbatched states": lambda lib: (lib.zeros(2, 3), lib.zeros(1, 1, 4)),
}


@pytest.mark.parametrize("what", BAD_CALLS)
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_bad_calls(name, what):
    def call(lib, _):
        x, h = BAD_CALLS[what](lib)
        getattr(lib.nn, name)(3, 4)(x, (h, h) if name == "LSTM" and h is not None else h)

    raises_alike(call)


@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
def test_bad_cell_calls(name):
    for shape, state in (((2, 1, 3), None), ((2, 4), None), ((2, 3), (1, 2, 4)), ((2, 3), (3, 4))):

        def call(lib, _, shape=shape, state=state):
            h = None if state is None else lib.zeros(state)
            pair = name == "LSTMCell" and h is not None
            getattr(lib.nn, name)(3, 4)(lib.zeros(shape), (h, h) if pair else h)

        raises_alike(call)


def test_packed_sizes_that_do_not_fit():
    module = ember.nn.GRU(3, 4)
    for sizes in ([1, 2, 2], [2, 2], [2, 2, 2], [], [5, 0, 0, -1]):
        packed = ours_rnn.PackedSequence(ember.zeros(5, 3), ember.tensor(sizes, dtype=ember.int64))
        with pytest.raises((RuntimeError, IndexError)):
            module(packed, ember.zeros(1, 2, 4))


# ---- nn.utils.rnn

LENGTHS = [[4, 2, 2, 1], [1, 4, 2, 3], [3], [2, 2]]


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("trail", [(), (3,), (2, 3)], ids=str)
def test_pack_and_pad(lengths, batch_first, trail):
    lead = (len(lengths), 5) if batch_first else (5, len(lengths))
    x = RNG.uniform(-1, 1, (*lead, *trail))
    found = []
    for lib, utils in ((ember, ours_rnn), (torch, theirs_rnn)):
        t = lib.from_numpy(x.copy()).requires_grad_()
        for given in (lengths, lib.tensor(lengths)):
            packed = utils.pack_padded_sequence(t, given, batch_first, enforce_sorted=False)
        results = [tuple(packed)]
        for options in ((), (True,), (False, 7.5), (True, float("-inf"), 6)):
            results.append(utils.pad_packed_sequence(packed, *options))
        results.append(utils.unpack_sequence(packed))
        (packed.data * lib.arange(packed.data.numel()).reshape(packed.data.shape)).sum().backward()
        found.append((results, t.grad))
    close(*found)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_pad_sequence(batch_first, side):
    arrays = [RNG.uniform(-1, 1, (n, 3)) for n in (2, 4, 0, 1)]
    found = []
    for lib, utils in ((ember, ours_rnn), (torch, theirs_rnn)):
        tensors = [lib.from_numpy(a.copy()).requires_grad_() for a in arrays]
        y = utils.pad_sequence(tensors, batch_first, -2.0, side)
        (y * y).sum().backward()
        whole = [lib.arange(n) for n in (3, 1)]
        numbers = utils.pad_sequence(whole, batch_first, 9, padding_side=side)
        assert str(numbers.dtype).endswith("int64")
        cut = utils.unpad_sequence(numbers.clone(), lib.tensor([3, 1]), batch_first)
        found.append((y, [t.grad for t in tensors], numbers, cut))
        assert tuple(y.stride()) == (12, 3, 1)
    close(*found)


def test_packed_sequence_is_a_named_tuple():
    found = []
    for lib, utils in ((ember, ours_rnn), (torch, theirs_rnn)):
        tensors = [lib.arange(n).float() for n in (1, 3)]
        packed = utils.pack_sequence(tensors, enforce_sorted=False)
        assert packed._fields == ("data", "batch_sizes", "sorted_indices", "unsorted_indices")
        assert (
            packed.to(lib.float32) is packed and packed.cpu() is packed and packed.float() is packed
        )
        assert not packed.is_cuda and isinstance(packed.double(), utils.PackedSequence)
        names = ["double", "half", "long", "int", "short", "char", "byte"]
        kinds = [str(getattr(packed, n)().data.dtype).rpartition(".")[2] for n in names]
        data, sizes, _, _ = packed
        pair = utils.PackedSequence((data, sizes))
        assert pair.sorted_indices is None and pair.unsorted_indices is None
        found.append(
            (kinds, tuple(packed.double()), utils.invert_permutation(lib.tensor([2, 0, 1])))
        )
        assert utils.invert_permutation(None) is None
    assert found[0][0] == found[1][0]
    close(found[0][1:], found[1][1:])


BAD_PACKS = {
    "not sorted": lambda lib, u: u.pack_padded_sequence(lib.zeros(4, 2, 3), [2, 3]),
    "zero": lambda lib, u: u.pack_padded_sequence(lib.zeros(4, 2, 3), [2, 0]),
    "too few": lambda lib, u: u.pack_padded_sequence(lib.zeros(4, 2, 3), [2]),
    "too many": lambda lib, u: u.pack_padded_sequence(lib.zeros(4, 2, 3), [2, 2, 2]),
    "empty": lambda lib, u: u.pack_padded_sequence(lib.zeros(4, 0, 3), []),
    "no sequences": lambda lib, u: u.pad_sequence([]),
    "not iterable": lambda lib, u: u.pad_sequence(3),
    "side": lambda lib, u: u.pad_sequence([lib.zeros(2)], padding_side="up"),
    "shapes": lambda lib, u: u.pad_sequence([lib.zeros(2, 3), lib.zeros(2, 4)]),
    "total": lambda lib, u: u.pad_packed_sequence(u.pack_sequence([lib.zeros(3)]), total_length=2),
    "pair": lambda lib, u: u.PackedSequence(lib.zeros(3)),
}


@pytest.mark.parametrize("what", BAD_PACKS)
def test_bad_packs(what):
    raises_alike(BAD_PACKS[what])


def test_lengths_beyond_the_input_raise():
    """PyTorch drops the steps that are not there."""
    with pytest.raises(RuntimeError, match="length of 5"):
        ours_rnn.pack_padded_sequence(ember.zeros(4, 2, 3), [5, 2])
