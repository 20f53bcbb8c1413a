"""What all tests share: a clean environment, the servers' fixtures, and no skipped test."""

import os

import pytest

pytest_plugins = ["testkit.pytest_servers"]

OUR_PREFIXES = ("ATELIER_", "ZHINIAN_", "GATEWAY_", "BILLING_", "JOBS_", "ASSETS_", "PROVIDERS_", "EDGE_")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the settings of whoever runs it."""
    for name in list(os.environ):
        if name.startswith(OUR_PREFIXES):
            monkeypatch.delenv(name)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A skipped test is a test that did not run: the session fails."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or session.exitstatus not in (pytest.ExitCode.OK, 0):
        return
    if reporter.stats.get("skipped") or reporter.stats.get("xfailed"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
