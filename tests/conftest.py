"""For every test: where nothing may be skipped, a skipped test has failed."""

from __future__ import annotations

import os

import pytest

NO_SKIPS = bool(os.environ.get("SIGNOFF_NO_SKIPS"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was skipped, and why it may not be."""
    skipped = terminalreporter.stats.get("skipped", ())
    if NO_SKIPS and skipped:
        terminalreporter.write_line(f"{len(skipped)} skipped, and none may be here:")
        for report in skipped:
            terminalreporter.write_line(f"  {report.nodeid}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when a test was skipped where everything it needs is installed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if NO_SKIPS and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
