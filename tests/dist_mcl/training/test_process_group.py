"""What a process is told that cannot join."""

from __future__ import annotations

import pytest

from dist_mcl.errors import UserError
from dist_mcl.training.process_group import join_process_group


def test_each_process_needs_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    places = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in places.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(UserError, match="process 2 of this machine needs a GPU of its own, and sees 1"):
        join_process_group(step_timeout=60)
