"""`testing.assert_close` passes and fails where PyTorch's does."""

import ember
import pytest

torch = pytest.importorskip("torch")

CASES = [
    "close(t([1.0, 2.0]), t([1.0, 2.0]))",
    "close(t([1.0, 2.0]), t([1.0, 2.0 + 1e-6]))",
    "close(t([1.0, 2.0]), t([1.0, 2.0 + 1e-4]))",
    "close(t([1.0, 2.0]), t([1.0, 2.1]), rtol=0.1, atol=0)",
    "close(t([1.0, 2.0]), t([1.0, 2.1]), rtol=0, atol=0.2)",
    "close(t([1.0, 2.0]), t([1.0, 2.1]), rtol=0.1)",
    "close(t([1.0, 2.0]), t([1.0, 2.1]), atol=0.1)",
    "close(t([1.0]), t([1.0, 1.0]))",
    "close(t([1.0]), t([[1.0]]))",
    "close(t(1.0), t([1.0]))",
    "close(t([]), t([]))",
    "close(t([1.0]), t([1.0], dtype=lib.float64))",
    "close(t([1.0]), t([1.0], dtype=lib.float64), check_dtype=False)",
    "close(t([1]), t([1.0]), check_dtype=False)",
    "close(t([1]), t([2]))",
    "close(t([1]), t([1]))",
    "close(t([1]), t([2]), rtol=0, atol=1)",
    "close(t([True]), t([True]))",
    "close(t([True]), t([False]))",
    "close(t([float('nan')]), t([float('nan')]))",
    "close(t([float('nan')]), t([float('nan')]), equal_nan=True)",
    "close(t([float('inf')]), t([float('inf')]))",
    "close(t([float('inf')]), t([-float('inf')]))",
    "close(t([1.0], dtype=lib.bfloat16), t([1.01], dtype=lib.bfloat16))",
    "close(t([1.0], dtype=lib.float16), t([1.01], dtype=lib.float16))",
    "close(t([1.0], dtype=lib.float64), t([1.0 + 5e-8], dtype=lib.float64))",
    "close(t([1.0], dtype=lib.float64), t([1.0 + 5e-7], dtype=lib.float64))",
    "close(t([[1.0, 2.0], [3.0, 4.0]]), t([[1.0, 3.0], [2.0, 4.0]]).t())",
    "close(t([[1.0, 2.0], [3.0, 4.0]]), t([[1.0, 3.0], [2.0, 4.0]]).t(), check_stride=True)",
    "close(t([1.0], requires_grad=True), t([1.0]))",
    "close(1.0, 1.0)",
    "close(1.0, 1.0 + 1e-8)",
    "close(1.0, 1.1)",
    "close(1, 1)",
    "close(1, 2)",
    "close(1, 1.0)",
    "close(1, 1.0, check_dtype=False)",
    "close(True, True)",
    "close(True, False)",
    "close(1.0, t(1.0))",
    "close(t(1.0), 1.0)",
    "close([1.0, t([2.0])], [1.0, t([2.0])])",
    "close((1.0, t([2.0])), [1.0, t([2.0])])",
    "close([1.0], [1.0, 2.0])",
    "close([1.0, 2.0], [1.0, 3.0])",
    "close([1.0], 1.0)",
    "close({'a': 1.0, 'b': [2]}, {'b': [2], 'a': 1.0})",
    "close({'a': 1.0}, {'b': 1.0})",
    "close({'a': 1.0}, {'a': 1.0, 'b': 1.0})",
    "close({'a': 1.0}, [1.0])",
    "close([], [])",
    "close({}, {})",
    "close(None, None)",
    "close(None, 1.0)",
    "close(t([1.0]), None)",
    "close('a', 'a')",
    "close('a', 'b')",
    "close(t([1.0]), 'a')",
    "close(np.array([1.0]), np.array([1.0]))",
    "close(np.array([1.0]), np.array([2.0]))",
    "close(np.array([1.0]), t([1.0], dtype=lib.float64))",
    "close(np.float64(1.0), np.float64(1.0))",
    "close(object(), object())",
    "close(lib.nn.Parameter(t([1.0])), t([1.0]))",
    "close(lib.nn.Parameter(t([1.0])), t([1.0]), allow_subclasses=False)",
    "close(t([1.0]), t([1.0]), check_layout=False, check_device=False)",
    "close(t([1.0]), t([2.0]), msg='mine')",
    "close(t([1.0]), t([2.0]), msg=lambda m: 'mine' if m else '')",
    "allclose(t([1.0]), t([1.0]))",
    "allclose(t([1.0]), [1.0])",
    "allclose(t([1.0]), t([1.2]))",
    "allclose(t([1.0]), t([1.2]), rtol=0.3, atol=0)",
]


def outcome(library, text):
    import numpy as np

    names = {
        "lib": library,
        "t": library.tensor,
        "np": np,
        "close": library.testing.assert_close,
        "allclose": library.testing.assert_allclose,
    }
    try:
        assert eval(text, names) is None
    except Exception as error:
        return type(error), str(error) == "mine"
    return None


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("text", CASES)
def test_outcomes(text):
    assert outcome(ember, text) == outcome(torch, text)


def test_messages():
    with pytest.raises(AssertionError, match=r"1 of 3 .*at \(1,\): got 2\.0, expected 5\.0"):
        ember.testing.assert_close(ember.tensor([1.0, 2, 3]), ember.tensor([1.0, 5, 3]))
    with pytest.raises(AssertionError, match=r"at \['a'\]\[1\]"):
        ember.testing.assert_close({"a": [1.0, 2.0]}, {"a": [1.0, 3.0]})
