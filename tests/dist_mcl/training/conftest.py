"""One small training to the end, which the others must equal."""

from __future__ import annotations

from pathlib import Path

import pytest

from .small_runs import finish, result


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one process that was never disturbed."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    finish(folder, 1)
    return folder


@pytest.fixture(scope="session")
def alone(undisturbed: Path) -> tuple[list[float], dict[str, str]]:
    """Its losses and digests."""
    return result(undisturbed, 1)
