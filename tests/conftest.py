"""Where tensors lie (``--device``), and how many rows of the operation table ran on how many samples."""

import os

import pytest

# Tests that build their tensors on the device under test.
ON_DEVICE = ("test_ops_forward", "test_ops_grad")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--device",
        default=os.environ.get("EMBER_TEST_DEVICE", "cpu"),
        help="where the rows of the operation table run: cpu or cuda",
    )


def pytest_configure(config: pytest.Config) -> None:
    os.environ["EMBER_TEST_DEVICE"] = config.getoption("--device")  # before opspecs is imported
    if config.getoption("--device") != "cpu":
        os.environ.setdefault("EMBER_CUDA_SYNC", "1")  # errors surface where they belong


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--device") == "cpu":
        return
    import ember

    reason = ember.cuda.unavailable_reason()
    for item in items:
        if not item.module.__name__.startswith(ON_DEVICE):
            item.add_marker(pytest.mark.skip(reason="has no tensors on the device under test"))
        elif reason:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    try:
        from opspecs import counts
    except ImportError:
        return
    for kind, count in counts.cases.items():
        terminalreporter.write_line(
            f"operations, {kind}: {len(counts.rows[kind])} rows, {count} samples"
        )
