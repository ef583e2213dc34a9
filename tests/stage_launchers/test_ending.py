"""The process of a rank ends with its code whatever else still runs in it."""

from __future__ import annotations

import subprocess
import sys

import pytest

# A thread in C++ that wants the interpreter while it is taken apart would abort the process; this one, in Python, is
# waited for by `sys.exit`, and never ends.
PROGRAM = """
import threading
from stage_launchers import end_process
threading.Thread(target=threading.Event().wait).start()
print("results", end="")
end_process({code})
"""


@pytest.mark.parametrize("code", [0, 85])
def test_it_ends_at_once_and_what_was_printed_arrives(code: int) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(code=code)], stdout=subprocess.PIPE, timeout=60)
    assert (done.returncode, done.stdout) == (code, b"results")
