"""Download the packages of a data set and rebuild its folder."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from dist_mcl.errors import UserError
from dist_mcl.packages.download import cache_folder, download
from dist_mcl.packages.emoji import ARTISTS, KEYWORDS
from dist_mcl.scenario.builders import emoji, photographs
from dist_mcl.scenario.builders.attribution import attribution
from dist_mcl.scenario.builders.progress import Track
from dist_mcl.scenario.tables import OBJECTS, PHOTOGRAPHS, shipped_folder, write_objects, write_photographs

ATTRIBUTION = "ATTRIBUTION.md"
LICENCES = "licences"


def prepare_emoji(output: Path, track: Track) -> None:
    """Rebuild the emoji set in the folder `output`.

    Needs npm, and apt-get on Debian 12. With the versions in `constraints.txt` the files equal the shipped ones byte
    for byte. Downloads are kept, so a second call needs no network. Existing files are replaced at the very end.

    Raises:
        UserError: a registry's client is missing or fails, or `output` cannot be written.
    """
    packages = [*ARTISTS.values(), KEYWORDS, *photographs.PACKAGES.values()]
    archives = {package: download(package, cache_folder() / "packages") for package in track(packages, "downloading")}
    objects, info = emoji.build(archives, track)
    backgrounds = photographs.build(archives, track)
    keywords = f"{KEYWORDS.name} {KEYWORDS.version}"
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output, prefix=".prepare-") as scratch:
            made = Path(scratch)
            write_objects(made / OBJECTS, objects, info)
            write_photographs(made / PHOTOGRAPHS, backgrounds)
            text = attribution(emoji.artist_credits(archives), keywords, backgrounds)
            (made / ATTRIBUTION).write_text(text, encoding="utf-8")
            for name in (OBJECTS, PHOTOGRAPHS, ATTRIBUTION):
                (made / name).replace(output / name)
        licences = shipped_folder("emoji") / LICENCES
        if not (output / LICENCES).exists():
            shutil.copytree(licences, output / LICENCES)
    except OSError as error:
        raise UserError(f"--output {output}: cannot write there: {error.strerror}") from error
