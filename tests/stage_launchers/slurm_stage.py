"""What a batch script runs in these tests, as a coordinator would: `slurm_stage.py FOLDER [EXIT CODE ...]`.

Start k of the job gives exit code k at once; after the last of them, starts run two ranks under srun, which save and
give 85 when they are told to stop, and 0 when another start has saved before them.
"""

from __future__ import annotations

import os
import sys
import textwrap
from pathlib import Path

from stage_launchers import Job, create_launcher

RANK = """
    import os, signal, sys, time
    from pathlib import Path
    from stage_launchers import rendezvous
    asked = []
    signal.signal(signal.SIGUSR1, lambda *_: asked.append(time.time()))
    signal.signal(signal.SIGTERM, lambda *_: asked.append(time.time()))
    place, folder, begun = rendezvous(), Path(sys.argv[1]), time.time()
    saved = folder / f"saved-{place.rank}"
    if saved.exists():
        sys.exit(0)
    (folder / f"running-{place.rank}").write_text(str(os.getpid()))
    while not asked and time.time() - begun < 300 and not (folder / "finish").exists():
        time.sleep(0.05)
    if (folder / "finish").exists():
        sys.exit(0)
    saved.write_text(f"{asked[0] - begun:.1f}")
    time.sleep(1)
    sys.exit(85)
"""


def main(folder: Path, codes: list[int]) -> int:
    start = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    with (folder / "starts").open("a") as starts:
        starts.write(f"{start}\n")
    if start < len(codes):
        return codes[start]
    job = Job((sys.executable, "-c", textwrap.dedent(RANK), str(folder)), 1, folder, nodes=2)
    code = create_launcher("slurm").launch(job).wait()
    return 85 if (folder / "saved-0").exists() and code else code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), [int(code) for code in sys.argv[2:]]))
