"""One small training to the end, which the others must equal."""

from __future__ import annotations

import pytest

from .small_runs import finish


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[float], dict[str, str]]:
    """Losses and digests of one process that was never disturbed."""
    return finish(tmp_path_factory.mktemp("alone") / "run", 1)
