"""The packages that 3-D models come in: catalogues of furniture and other things for Sweet Home 3D."""

from __future__ import annotations

from dataclasses import dataclass

from dist_mcl.packages.download import Package

FURNITURE = Package(
    "debian",
    "sweethome3d-furniture",
    "1.8-1",
    "3ccb90c63f9525e887a767b9cd5c8b6933b8b6b2973a615a5359ee68a2118668",
)
PROGRAM = Package(
    "debian",
    "sweethome3d",
    "7.0.2+dfsg-3",
    "54bce4394ae763da1ffccff8f025565ce7161dc6934371e07480034ef155c411",
)
PACKAGES = (FURNITURE, PROGRAM)


@dataclass(frozen=True)
class Catalogue:
    """One archive of models.

    Attributes:
        package: that holds the archive.
        archive: its path in the package.
        properties: path, in the archive, of the file that describes its models.
        licence: SPDX identifier; of single models where they say their own.
    """

    package: Package
    archive: str
    properties: str
    licence: str

    @property
    def name(self) -> str:
        """The archive's name without folder and suffix."""
        return self.archive.rpartition("/")[2].partition(".")[0]


_FOLDER = "usr/share/sweethome3d/furniture"
_PROPERTIES = "PluginFurnitureCatalog.properties"
CATALOGUES = (
    Catalogue(FURNITURE, f"{_FOLDER}/BlendSwap-CC-0.sh3f", _PROPERTIES, "CC0-1.0"),
    Catalogue(FURNITURE, f"{_FOLDER}/BlendSwap-CC-BY.sh3f", _PROPERTIES, "CC-BY-3.0"),
    Catalogue(FURNITURE, f"{_FOLDER}/Scopia.sh3f", _PROPERTIES, "CC-BY-3.0"),
    Catalogue(FURNITURE, f"{_FOLDER}/KatorLegaz.sh3f", _PROPERTIES, "CC-BY-3.0-US"),
    Catalogue(FURNITURE, f"{_FOLDER}/Reallusion.sh3f", _PROPERTIES, "CC-BY-3.0-US"),
    Catalogue(
        PROGRAM,
        "usr/share/sweethome3d/sweethome3d.jar",
        "com/eteks/sweethome3d/io/DefaultFurnitureCatalog.properties",
        "GPL-2.0-or-later",
    ),
)
