from pathlib import Path

import numpy as np
import pytest

from studies.costs import measured


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux forgets a peak")
def test_an_earlier_peak_is_forgotten() -> None:
    with measured() as large:
        np.ones(40 * 2**20).sum()  # 320 MiB
    with measured() as small:
        np.ones(2**20).sum()
    assert large["peak_bytes"] - small["peak_bytes"] > 200 * 2**20
    assert large["processor_seconds"] > small["processor_seconds"] > 0
