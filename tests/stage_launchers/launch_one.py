"""A coordinator in a process of its own: launch one job as the command line's JSON says, and print its exit code."""

import json
import os
import sys
import time
from pathlib import Path

from stage_launchers import Job, create_launcher


def main(spec: dict) -> None:
    Path(spec["log_dir"], "coordinator").write_text(str(os.getpid()))
    job = Job(tuple(spec["argv"]), spec["processes"], Path(spec["log_dir"]), nodes=spec["nodes"])
    handle = create_launcher(spec["kind"], spec["options"]).launch(job)
    if spec["stop_after"]:
        while not all(Path(path).exists() for path in spec["stop_after"]):
            assert handle.poll() is None, "the job ended before it could be stopped"
            time.sleep(0.02)
        handle.stop(spec["grace"])
    print(json.dumps(handle.wait(120)))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
