"""Who made what in a data set: the text of ATTRIBUTION.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dist_mcl.packages.download import Package
from dist_mcl.packages.notes import SOUND_FONTS
from dist_mcl.packages.shapes import CATALOGUES
from dist_mcl.scenario.builders.emoji import Credit
from dist_mcl.scenario.builders.notes import Note
from dist_mcl.scenario.builders.shapes.questions import Model

_TEXT = """\
# Emoji on photographs: attribution and licences

The emoji set as a whole (`objects.parquet`) is licensed CC-BY-SA-4.0, <https://creativecommons.org/licenses/by-sa/4.0/>.
Each drawing stays under its artist's licence, each photograph (`photographs.parquet`) under its own. `licences/` holds
the licence texts and the copyright files of the packages; that of `lomiri-wallpapers-16.04` has the texts of CC-BY-4.0
and CC-BY-SA-4.0.

Changes made: drawings were rendered at 96 x 96 pixels; photographs were scaled to at most 512 pixels and coded as JPEG.
Scenes are composed of both when they are read and are not part of this folder.

## Drawings

{drawings}

Names, groups and keywords: Unicode CLDR as packaged in {keywords} (MIT; Unicode licence). Emoji names are not
part of the texts.

## Photographs

{photographs}
"""


def attribution(credits_: Sequence[Credit], keywords: str, photographs: Mapping[str, Sequence[Any]]) -> str:
    """The attribution as Markdown.

    Args:
        credits_: one entry per artist.
        keywords: the package that names and keywords come from.
        photographs: columns of `tables.PHOTOGRAPH_SCHEMA`.
    """
    columns = [photographs[name] for name in ("file", "author", "licence", "package", "split")]
    return _TEXT.format(
        drawings=_table(
            ("style", "drawn by", "licence", "source", "package"),
            ((c.style, c.author, c.licence, f"<{c.url}>", c.package) for c in credits_),
        ),
        keywords=keywords,
        photographs=_table(("file", "author", "licence", "Debian package", "split"), zip(*columns, strict=True)),
    )


_CDDA_TEXT = """\
# Cataclysm-DDA: attribution and licence

Drawings, names and descriptions (`objects.parquet`) are from Cataclysm: Dark Days Ahead,
<https://github.com/CleverRaven/Cataclysm-DDA>, as packaged in Debian's {package}, by the contributors that
`{name}.txt` names; licensed CC-BY-SA-3.0, <https://creativecommons.org/licenses/by-sa/3.0/>, and so is this set.

Changes made: sprites were cut out of the tile sets {styles}, and scaled to 96 x 96 pixels; markup was removed from
the descriptions.
"""


def cdda_attribution(package: Package, styles: Iterable[str]) -> str:
    """The attribution of the Cataclysm-DDA set as Markdown; `styles` are the tile sets that its drawings come from."""
    named = ", ".join(sorted(set(styles)))
    return _CDDA_TEXT.format(package=f"{package.name} {package.version}", name=package.name, styles=named)


_SHAPES_TEXT = """\
# 3-D models: attribution and licences

Made of the models that `{folder}/` names the licences of; as a whole the set is licensed {licence}. Each model stays
under its catalogue's licence: CC0-1.0 <https://creativecommons.org/publicdomain/zero/1.0/>, CC-BY-3.0
<https://creativecommons.org/licenses/by/3.0/>, CC-BY-3.0-US <https://creativecommons.org/licenses/by/3.0/us/>,
GPL-2.0-or-later <https://www.gnu.org/licenses/old-licenses/gpl-2.0.html>.

Changes made: of each model, points of its surface were drawn; pictures, clips and depth maps show these points, and
a point cloud holds some of them.

## Catalogues

{catalogues}

## Models

{models}
"""


def shapes_attribution(models: Sequence[Model], licence: str, folder: str) -> str:
    """The attribution of the set of 3-D models as Markdown: who made each, where the catalogue says it."""
    used = {model.entry.catalogue for model in models}
    catalogues = (
        (one.name, one.licence, f"{one.package.name} {one.package.version}") for one in CATALOGUES if one.name in used
    )
    rows = ((model.entry.name, model.entry.catalogue, model.entry.creator or "not said") for model in models)
    return _SHAPES_TEXT.format(
        folder=folder,
        licence=licence,
        catalogues=_table(("catalogue", "licence", "Debian package"), catalogues),
        models=_table(("model", "catalogue", "made by"), ([_cell(text) for text in row] for row in rows)),
    )


_NOTES_TEXT = """\
# Recorded notes: attribution and licences

Samples of the sound fonts below, whose packages' copyright files are in `{folder}/`; as a whole the set is licensed
{licence}.

Changes made: of each sample the first second was taken, held by the font's own loop where it is shorter, resampled to
16 kHz and scaled to one loudness.

{fonts}
"""


def notes_attribution(notes: Sequence[Note], licence: str, folder: str) -> str:
    """The attribution of the set of notes as Markdown."""
    counts = Counter(note.font.package.name for note in notes)
    rows = (
        (f"{font.package.name} {font.package.version}", font.licence, str(counts[font.package.name]))
        for font in SOUND_FONTS
    )
    fonts = _table(("Debian package", "licence", "notes"), rows)
    return _NOTES_TEXT.format(folder=folder, licence=licence, fonts=fonts)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))
