"""The package that Cataclysm: Dark Days Ahead is drawn and described in."""

from dist_mcl.packages.download import Package

GAME = Package(
    "debian",
    "cataclysm-dda-data",
    "0.F-3-9",
    "cd0c097169fe364fdb6bcdab77663d24920a063387ce2fbf1b5d3be01c141105",
)
ROOT = "usr/share/games/cataclysm-dda/"
COPYRIGHT = "usr/share/doc/cataclysm-dda-data/copyright"
LICENCE = "CC-BY-SA-3.0"
TILE_SETS = (
    "BrownLikeBears",
    "ChestHole16Tileset",
    "Cuteclysm",
    "HitButton_iso",
    "HoderTileset",
    "MshockXotto+",
    "NeoDaysTileset",
    "RetroDaysTileset",
    "UltimateCataclysm",
)
