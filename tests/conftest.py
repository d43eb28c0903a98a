"""Says at the end how many rows of the operation table ran, on how many samples."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    try:
        from opspecs import counts
    except ImportError:
        return
    for kind, count in counts.cases.items():
        terminalreporter.write_line(
            f"operations, {kind}: {len(counts.rows[kind])} rows, {count} samples"
        )
