"""The packages that recorded instruments come in: General-MIDI sound fonts."""

from __future__ import annotations

from dataclasses import dataclass

from dist_mcl.packages.download import Package


@dataclass(frozen=True)
class SoundFont:
    """One sound font.

    Attributes:
        package: that holds it.
        path: in the package.
        licence: SPDX identifier.
    """

    package: Package
    path: str
    licence: str


SOUND_FONTS = (
    SoundFont(
        Package(
            "debian",
            "timgm6mb-soundfont",
            "1.3-5",
            "034abdfb296d9353433513dad5dbdcab46425ee6008fc02fe7039b46e75edc54",
        ),
        "usr/share/sounds/sf2/TimGM6mb.sf2",
        "GPL-2.0-only",
    ),
    SoundFont(
        Package(
            "debian",
            "fluidr3mono-gm-soundfont",
            "2.315-7",
            "4098301bf29f4253c2f5799a844f42dd4aa733d91a210071ad16d7757dea51d6",
        ),
        "usr/share/sounds/sf3/FluidR3Mono_GM.sf3",
        "MIT",
    ),
    SoundFont(
        Package(
            "debian",
            "musescore-general-soundfont-small",
            "0.2.1-1",
            "65f9c1cb658c49e8713d2c95238d5d26868f520341f74a4fe26248a8f763c739",
        ),
        "usr/share/sounds/sf3/MuseScore_General_Lite.sf3",
        "MIT",
    ),
)
