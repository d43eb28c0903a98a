"""Where tensors lie (``--device``), and how many rows of the operation table ran on how many samples."""

import os
import re
from collections.abc import Generator
from typing import Any

import pytest
import row_counts

# Tests that build their tensors on the device under test.
ON_DEVICE = ("test_ops_forward", "test_ops_grad", "test_cuda_training")


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


@pytest.fixture
def repeatable(request: pytest.FixtureRequest) -> Generator[None, None, None]:
    """A GPU adds in the same order each time only if it is asked to."""
    import ember

    ember.use_deterministic_algorithms(request.config.getoption("--device") != "cpu")
    yield
    ember.use_deterministic_algorithms(False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """On a GPU, rows whose kernel is on the list of missing ones are skipped."""
    try:
        return (yield)
    except Exception as error:
        missing = re.search(r"(\w+): no CUDA kernel", str(error))
        if missing is None or item.config.getoption("--device") == "cpu":
            raise
        from test_cuda_boundary import MISSING

        if missing[1] not in MISSING:
            raise
        pytest.skip(f"{missing[1]}: no CUDA kernel: {MISSING[missing[1]][1]}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):  # a worker of pytest-xdist
        session.config.workeroutput["operations"] = row_counts.totals()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    row_counts.merge(getattr(node, "workeroutput", {}).get("operations", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for kind, (rows, count) in sorted(row_counts.totals().items()):
        terminalreporter.write_line(f"compared, {kind}: {len(rows)} rows, {count} samples")
