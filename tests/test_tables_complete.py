"""Every module, loss, optimizer, schedule and distribution of PyTorch's is compared with it: it stands
in a table, or in a test of its own that is named here."""

import importlib
import inspect

import distribution_support
import pytest
import test_lr_scheduler
import test_nn_modules
import test_nn_more_modules
import test_nn_rare_modules
import test_nn_rnn
import test_optim
import test_optim_rules

torch = pytest.importorskip("torch")

MODULES = [
    *test_nn_modules.LAYERS,
    *test_nn_modules.LOSSES,
    *test_nn_more_modules.ACTIVATIONS,
    *test_nn_more_modules.LOSSES,
    *test_nn_rare_modules.MODULES,
    *test_nn_rare_modules.LAZY,
]
OWN_TEST = {
    "AdaptiveLogSoftmaxWithLoss": "test_nn_rare_modules.test_adaptive_softmax",
    "CTCLoss": "test_nn_more_modules.test_ctc_module",
    "Container": "test_nn_rare_modules.test_older_names_warn",
    "CrossMapLRN2d": "test_nn_rare_modules.test_cross_map_lrn",
    "DataParallel": "test_nn_rare_modules.test_data_parallel_calls_the_module",
    "Hardsigmoid": "test_nn_more_modules.test_hardsigmoid",
    "MaxUnpool1d": "test_nn_modules.test_max_unpool_puts_back",
    "MaxUnpool2d": "test_nn_modules.test_max_unpool_puts_back",
    "MaxUnpool3d": "test_nn_modules.test_max_unpool_puts_back",
    "ModuleDict": "test_nn_containers.test_module_dict",
    "ModuleList": "test_nn_containers.test_module_list",
    "MultiheadAttention": "test_nn_more_modules.test_multihead_attention",
    "ParameterDict": "test_nn_containers.test_parameter_dict",
    "ParameterList": "test_nn_containers.test_parameter_list",
    "RNNBase": "test_nn_rnn.test_networks",
    "RNNCellBase": "test_nn_rnn.test_cells",
    "Sequential": "test_nn_containers.test_sequential",
    "SyncBatchNorm": "test_nn_rare_modules.test_sync_batch_norm",
    "TransformerDecoder": "test_nn_rare_modules.test_decoder_takes_all_masks",
    "TransformerEncoder": "test_nn_rare_modules.test_encoder_stacks",
    "LBFGS": "test_optim_rules.test_lbfgs_walks_as_pytorchs",
    "Muon": "test_optim_rules.test_muon_steps_as_pytorchs",
    "Optimizer": "test_optim.test_named_parameters_and_user_subclass",
    "SparseAdam": "test_sparse_products.test_sparse_adam",
    "LRScheduler": "test_lr_scheduler.test_state_dict_resumes",
    "ReduceLROnPlateau": "test_lr_scheduler.test_plateau_equals_pytorchs",
}


def has_own_test(name: str) -> bool:
    if name not in OWN_TEST:
        return False
    module, function = OWN_TEST[name].split(".")
    return callable(getattr(importlib.import_module(module), function))


def classes(module, base) -> list[str]:
    found = inspect.getmembers(module, inspect.isclass)
    return [
        name
        for name, cls in found
        if issubclass(cls, base) and not name.startswith("_") and name != "Module"
    ]


def missing(names, compared) -> list[str]:
    return [name for name in names if name not in compared and not has_own_test(name)]


def test_modules_and_losses():
    compared = {row.values[0] for row in MODULES}
    compared |= {row[0] for row in test_nn_rnn.NETWORKS + test_nn_rnn.CELLS}
    assert missing(classes(torch.nn, torch.nn.Module), compared) == []


def test_optimizers():
    compared = {row[0] for row in test_optim.CASES + test_optim_rules.CASES}
    assert missing(classes(torch.optim, torch.optim.Optimizer), compared) == []


def test_schedules():
    make = [*test_lr_scheduler.SCHEDULES.values(), *test_lr_scheduler.SEQUENCES.values()]
    library = torch.optim.lr_scheduler
    compared = {
        type(f(library, test_lr_scheduler.two_groups(torch, torch.optim))).__name__ for f in make
    }
    assert missing(classes(library, library.LRScheduler), compared) == []


def test_distributions():
    compared = {
        type(distribution_support.build(torch, text)).__name__ for text in distribution_support.ALL
    }
    abstract = {"Distribution", "ExponentialFamily", "TransformedDistribution"}
    names = set(classes(torch.distributions, torch.distributions.Distribution)) - abstract
    assert missing(sorted(names), compared) == []
