"""Download the packages of a data set and rebuild its folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dist_mcl.errors import UserError
from dist_mcl.packages import cdda as cdda_package
from dist_mcl.packages.download import Package, cache_folder, download, iter_members, read_members
from dist_mcl.packages.emoji import ARTISTS, KEYWORDS
from dist_mcl.scenario.builders import cdda, emoji, notes, photographs, shapes
from dist_mcl.scenario.builders.attribution import (
    attribution,
    cdda_attribution,
    notes_attribution,
    shapes_attribution,
)
from dist_mcl.scenario.builders.made_of import MADE_OF, PACKAGES, made_of
from dist_mcl.scenario.builders.progress import Track
from dist_mcl.scenario.builders.questions import QuestionTables
from dist_mcl.scenario.builders.shapes.media import forget
from dist_mcl.scenario.questions.tables import SUMS, QuestionsInfo, write_questions, write_sums
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
    text = attribution(emoji.artist_credits(archives), f"{KEYWORDS.name} {KEYWORDS.version}", backgrounds)

    def write(folder: Path) -> None:
        write_objects(folder / OBJECTS, objects, info)
        write_photographs(folder / PHOTOGRAPHS, backgrounds)
        (folder / ATTRIBUTION).write_text(text, encoding="utf-8")

    def add_licences(folder: Path) -> None:
        if not (output / LICENCES).exists():
            shutil.copytree(shipped_folder("emoji") / LICENCES, folder / LICENCES)

    _replace(output, write, add_licences)


def prepare_cdda(output: Path, track: Track) -> None:
    """Build the Cataclysm-DDA set in the folder `output`.

    Needs apt-get on Debian 12. The download is checked and kept, so a call that was interrupted goes on from there, and
    a second one needs no network. Existing files are replaced at the very end.

    Raises:
        UserError: apt-get is missing or fails, the package is damaged, or `output` cannot be written.
    """
    package = cdda_package.GAME
    (archive,) = [download(one, cache_folder() / "packages") for one in track([package], "downloading")]
    files = dict(iter_members(archive, cdda.wanted))
    below = {path.removeprefix(cdda_package.ROOT): content for path, content in files.items()}
    objects, info = cdda.build(below, track)

    def write(folder: Path) -> None:
        write_objects(folder / OBJECTS, objects, info)
        (folder / ATTRIBUTION).write_text(cdda_attribution(package, objects["style"]), encoding="utf-8")
        (folder / f"{package.name}.txt").write_bytes(files[cdda_package.COPYRIGHT])

    _replace(output, write)


def prepare_shapes(output: Path, track: Track, most: int | None = None) -> None:
    """Build the set of 3-D models in the folder `output`.

    Needs apt-get on Debian 12. Downloads are checked and kept, and what is made of a model is kept until the whole set
    is: a call that was interrupted goes on from there. Existing files are replaced at the very end.

    Args:
        most: models of each class; all when left out.

    Raises:
        UserError: apt-get is missing or fails, a package is damaged, or `output` cannot be written.
    """
    archives = _downloaded(PACKAGES["shapes"], track)
    work = cache_folder() / "building" / "shapes"
    work.mkdir(parents=True, exist_ok=True)
    made = shapes.build(archives, work, most, track)

    def write(folder: Path) -> None:
        text = shapes_attribution(made.models, made.info.licence, LICENCES)
        (folder / MADE_OF).write_text(made_of("shapes", most), encoding="utf-8")
        _write_questions(folder, made.tables, made.info, text, archives)

    _replace(output, write)
    if most is None:
        forget(work)


def prepare_notes(output: Path, track: Track, most: int | None = None) -> None:
    """Build the set of recorded notes in the folder `output`; `most` notes of each family. Raises as `prepare_cdda`."""
    archives = _downloaded(PACKAGES["notes"], track)
    made = notes.build(archives, most, track)

    def write(folder: Path) -> None:
        text = notes_attribution(made.notes, made.info.licence, LICENCES)
        (folder / MADE_OF).write_text(made_of("notes", most), encoding="utf-8")
        _write_questions(folder, made.tables, made.info, text, archives)

    _replace(output, write)


BUILDERS: dict[str, Callable[[Path, Track], None]] = {"emoji": prepare_emoji, "cdda": prepare_cdda}
QUESTION_BUILDERS: dict[str, Callable[[Path, Track, int | None], None]] = {
    "shapes": prepare_shapes,
    "notes": prepare_notes,
}


def _downloaded(packages: Sequence[Package], track: Track) -> dict[Package, Path]:
    return {package: download(package, cache_folder() / "packages") for package in track(packages, "downloading")}


def _write_questions(
    folder: Path, tables: QuestionTables, info: QuestionsInfo, attribution_: str, archives: Mapping[Package, Path]
) -> None:
    write_questions(folder, tables.questions, tables.media, info)
    (folder / ATTRIBUTION).write_text(attribution_, encoding="utf-8")
    (folder / LICENCES).mkdir()
    for package, archive in archives.items():
        copyright_file = f"usr/share/doc/{package.name}/copyright"
        (folder / LICENCES / f"{package.name}.txt").write_bytes(read_members(archive, [copyright_file])[copyright_file])
    write_sums(folder)


def _replace(output: Path, *writers: Callable[[Path], None]) -> None:
    """Write into a folder beside and move what is there into `output` when all of it is written.

    Between the first file and the last one there are no sums, so what is half old and half new is not taken for whole.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output, prefix=".prepare-") as scratch:
            for write in writers:
                write(Path(scratch))
            (output / SUMS).unlink(missing_ok=True)
            for made in sorted(Path(scratch).iterdir(), key=lambda path: (path.name == SUMS, path.name)):
                if made.is_dir():
                    shutil.rmtree(output / made.name, ignore_errors=True)
                made.replace(output / made.name)
    except OSError as error:
        raise UserError(f"--output {output}: cannot write there: {error.strerror}") from error
