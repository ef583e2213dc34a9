"""The packages that pretraining learns from, pinned. No experiment tests on any of them.

Of the emoji packages (`dist_mcl.packages.emoji`) only the subgroups are used that are no class of the emoji set.
"""

from __future__ import annotations

from dist_mcl.packages.download import Package

CLIPART = Package(
    "debian", "openclipart-svg", "1:0.18+dfsg-19", "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5"
)
WORD_PICTURES = Package(
    "debian", "pysiogame", "4.20.01-1", "6b22766dfd8ef3a046c2665fe2598ac8a1ecee3d331bda38accf53de65bc59bf"
)
STAMPS = Package(
    "debian",
    "tuxpaint-stamps-default",
    "2022.06.04-1",
    "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
)
PHOTOGRAPHS = {
    Package(
        "debian", "mate-backgrounds", "1.26.0-1", "7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04"
    ): "usr/share/backgrounds/mate/",
    Package(
        "debian", "ukui-wallpapers", "20.04.3-1.1", "6d49be70152e6d603163458e177e501deb0be8f2916389ccbfcf59b0d7fc0262"
    ): "usr/share/backgrounds/",
    Package(
        "debian", "gnome-backgrounds", "43.1-1", "a670dea21572652127d6e55f9cdb3a226d0037854fdbfd037003c7d00ee0dc4e"
    ): "usr/share/backgrounds/gnome/",
}
ICONS = tuple(
    Package("npm", f"@iconify-json/{name}", version, sha256)
    for name, version, sha256 in (
        ("flat-color-icons", "1.2.3", "d8878a9b0f02d749bc8671eb7d47882eb711185cbcefbb365cbfb488773c4786"),
        ("fluent-color", "1.2.21", "fa2ddaaac7a2a7b902659cea1b5b8c03017ce2ae56295138876b86a36177dfbe"),
        ("streamline-ultimate-color", "1.2.2", "46133a11f3734bcef29066391d7edc141ed1d8056242ddfa1b5d36ce286420b6"),
        ("streamline-kameleon-color", "1.2.2", "5f972d986afb340d8a45d7a16e767f99f91fdd94db53e46a78c79847212aed7b"),
        ("streamline-plump-color", "1.2.2", "33ed8a9ebda9ed896125f1e01873105688d68d0b0c95ca1bcead5a41309afcf6"),
        ("streamline-flex-color", "1.2.2", "17ef2e9d596bb288991c271a2b468be822f994cb073c94801a1c186a0e4af827"),
        ("meteocons", "1.2.4", "1c0b49c6375c0e35c3ed65db6e41e9811a0cbd2368c13ee27f870f60c6185ff0"),
        ("game-icons", "1.2.4", "f5758efb34d91c4f50b941f355f16ee73938625e5996fabc25171288404460a4"),
    )
)
# Unicode's subgroups less the emoji set's classes and the flags of countries and regions.
EMOJI_SUBGROUPS = frozenset(
    (
        "face-smiling",
        "face-affection",
        "face-tongue",
        "face-hand",
        "face-neutral-skeptical",
        "face-sleepy",
        "face-unwell",
        "face-hat",
        "face-glasses",
        "face-negative",
        "face-costume",
        "cat-face",
        "monkey-face",
        "hand-fingers-open",
        "hand-fingers-partial",
        "hand-single-finger",
        "hand-fingers-closed",
        "hands",
        "hand-prop",
        "body-parts",
        "person-resting",
        "person-symbol",
        "skin-tone",
        "hair-style",
        "animal-amphibian",
        "animal-reptile",
        "animal-bug",
        "plant-flower",
        "food-vegetable",
        "food-sweet",
        "dishware",
        "place-map",
        "place-geographic",
        "place-religious",
        "transport-water",
        "transport-air",
        "hotel",
        "award-medal",
        "arts-crafts",
        "sound",
        "music",
        "musical-instrument",
        "phone",
        "computer",
        "money",
        "mail",
        "writing",
        "lock",
        "science",
        "medical",
        "other-object",
        "transport-sign",
        "warning",
        "religion",
        "zodiac",
        "gender",
        "math",
        "punctuation",
        "currency",
        "keycap",
        "flag",
    )
)
