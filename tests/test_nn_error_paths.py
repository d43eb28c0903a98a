"""Errors of operations name the module that they were raised in."""

import ember
import pytest
from ember import nn
from ember.nn import functional as F


class Net(nn.Module):
    """Runs one callable inside a model two levels deep."""

    def __init__(self, run):
        super().__init__()
        self.encoder = nn.Sequential(nn.Identity(), Inner(run))

    def forward(self, x):
        return self.encoder(x)


class Inner(nn.Module):
    def __init__(self, run):
        super().__init__()
        self.linear1 = nn.Linear(3, 4)
        self.run = run

    def forward(self, x):
        return self.run(self, x)


def error_of(run, x=None, net=None):
    with pytest.raises(Exception) as caught:
        (net or Net(run))(ember.ones(2, 3) if x is None else x)
    return caught.value


def message(run):
    try:
        run()
    except Exception as error:
        return str(error)
    raise AssertionError("expected an error")


def test_path_stands_before_the_message_once():
    bad = ember.ones(2, 5)
    error = error_of(lambda self, x: self.linear1(bad))
    alone = message(lambda: nn.Linear(3, 4)(bad))
    assert alone.startswith("linear: ")
    assert str(error) == f"encoder.1.linear1: {alone}" and type(error) is RuntimeError


@pytest.mark.parametrize(
    "run, kind",
    [
        (lambda self, x: x + ember.ones(7), RuntimeError),
        (lambda self, x: ember.softmax(x, 5), IndexError),
        (lambda self, x: x.sum("rows"), TypeError),
        (lambda self, x: ember.exp(x, nothing=1), TypeError),
        (lambda self, x: x[9], IndexError),
        (lambda self, x: F.cross_entropy(x, x, reduction="product"), ValueError),
        (lambda self, x: self.linear1(x, x), TypeError),
        (lambda self, x: nn.Module()(x), NotImplementedError),
    ],
)
def test_all_kinds_of_operations_errors(run, kind):
    error = error_of(run)
    assert type(error) is kind and str(error).startswith("encoder.1")


def test_errors_of_pythons_parts_too():
    lstm = nn.Sequential(nn.LSTM(3, 4))
    assert str(error_of(None, ember.ones(2, 5), lstm)).startswith("0: LSTM: input.size(-1)")


class Own(RuntimeError):
    pass


def raise_it(error):
    raise error


@pytest.mark.parametrize(
    "error", [RuntimeError("mine"), ValueError("mine"), Own("mine"), KeyError("mine")]
)
def test_the_programs_own_errors_stay(error):
    raised = error_of(lambda self, x: raise_it(error))
    assert raised is error and raised.args == ("mine",)


def test_errors_of_python_and_of_hooks_stay():
    assert str(error_of(lambda self, x: int("x"))) == message(lambda: int("x"))
    assert str(error_of(lambda self, x: {}["key"])) == "'key'"
    assert str(error_of(lambda self, x: self.nothing)).startswith("'Inner' object has no")

    def run(self, x):
        y = x.clone().requires_grad_()
        y.register_hook(lambda grad: raise_it(ValueError("mine")))
        y.sum().backward()

    assert str(error_of(run)) == "mine"


def test_handlers_see_the_path_and_may_go_on():
    def run(self, x):
        try:
            return self.linear1(ember.ones(5))
        except RuntimeError as error:
            return str(error)

    assert Net(run)(ember.ones(1)).startswith("encoder.1.linear1: linear: ")


def test_modules_that_are_registered_nowhere_go_by_their_class():
    stray = nn.Linear(3, 4)
    error = error_of(lambda self, x: stray(ember.ones(5)))
    assert str(error).startswith("encoder.1.Linear: linear: ")


def test_paths_through_hooks_and_lists():
    class Listed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(3, 3), nn.Linear(4, 4)])

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    model = Listed()
    model.layers[1].register_forward_hook(lambda module, args, out: None)
    error = error_of(None, ember.ones(1, 3), model)
    assert str(error).startswith("layers.1: linear: ")
    assert error_of(None, ember.ones(1, 3), model).args != ()


def test_a_module_that_nobody_called_adds_nothing():
    text = message(lambda: nn.Linear(3, 4)(ember.ones(5)))
    assert text.startswith("linear: ")
