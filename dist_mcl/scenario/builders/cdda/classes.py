"""The class of a thing: a rule on its structured fields. The labels are a bit noisy where the game's fields are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from dist_mcl.scenario.builders.cdda.definitions import Thing

_SPECIES = {
    "ZOMBIE": "undead",
    "ROBOT": "robot",
    "FISH": "fish",
    "BIRD": "bird",
    "MAMMAL": "mammal",
    "SPIDER": "bug",
    "INSECT": "bug",
    "INSECT_FLYING": "bug",
    "NETHER": "otherworld",
    "PLANT": "fungus_plant_monster",
    "FUNGUS": "fungus_plant_monster",
}
_FOOD = {
    "flesh": "meat_dish",
    "fruit": "fruit",
    "veggy": "vegetable",
    "wheat": "bakery",
    "junk": "sweets",
    "milk": "dairy_egg",
    "egg": "dairy_egg",
    "powder": "powder_spice",
    "nut": "nut",
}
# Parts of file names, in the order in which they are asked for.
_ITEM_FILES = {
    "melee/swords": "blade",
    "knives": "blade",
    "melee/blud": "club_polearm",
    "polearm": "club_polearm",
    "unarmed": "club_polearm",
    "vehicle/": "vehicle_part",
    "containers": "container",
    "dining": "kitchenware",
    "cooking": "kitchenware",
    **dict.fromkeys(
        ("workshop", "metalworking", "woodworking", "landscaping", "tailoring", "entry_tools"), "hand_tool"
    ),
    **dict.fromkeys(("electronics", "radio", "lighting", "science"), "device"),
}
_TERRAIN_FILES = {
    "flora": "tree_shrub",
    **dict.fromkeys(("doors", "windows", "gates"), "door_window_gate"),
    "walls": "wall",
    "floor": "floor",
    **dict.fromkeys(("manufactured", "mechanisms"), "machinery"),
}
_FURNITURE_FILES = dict.fromkeys(("flora", "domestic", "fungal"), "furniture_plant")


def class_of(thing: Thing) -> str | None:
    """The class, or None for what has none: mods, weapons that shoot, mutagens, human flesh, the unclassifiable."""
    if thing.file.startswith("json/mods") or thing.kind not in _RULES:
        return None
    return _RULES[thing.kind](thing)


def _monster(thing: Thing) -> str | None:
    species = thing.values("species")
    return next((label for name, label in _SPECIES.items() if name in species), None)


def _comestible(thing: Thing) -> str | None:
    category, material = thing.fields.get("category"), thing.values("material")
    if category == "seeds":
        return "seed"
    if category in ("mutagen", "chems"):
        return None
    kind = thing.fields.get("comestible_type")
    if kind == "DRINK":
        return "alcohol" if "alcohol" in material else "soft_drink"
    if kind == "FOOD":
        return _FOOD.get(material[0]) if material else None
    return "medicine" if kind == "MED" else None


def _worn(thing: Thing) -> str | None:
    covers = {re.sub(r"_[lr]$", "", part) for part in thing.values("covers")}
    if not covers:
        return "accessory"
    if covers <= {"eyes", "mouth"}:
        return "facewear"
    if covers <= {"head", "eyes", "mouth"}:
        return "headwear"
    exact = {
        "torso_wear": ({"torso"}, {"torso", "arm"}),
        "legwear": ({"leg"}, {"leg", "foot"}),
        "footwear": ({"foot"},),
        "glove": ({"hand"}, {"hand", "arm"}, {"arm"}),
    }
    named = (label for label, covered in exact.items() if covers in covered)
    return next(named, "body_suit" if "torso" in covers else None)


def _by_file(names: Mapping[str, str], otherwise: str | None = None) -> Callable[[Thing], str | None]:
    return lambda thing: next((label for part, label in names.items() if part in thing.file), otherwise)


def _always(label: str) -> Callable[[Thing], str | None]:
    return lambda thing: label


def _vehicle(thing: Thing) -> str | None:
    weapons = {part: label for part, label in _ITEM_FILES.items() if label in ("blade", "club_polearm")}
    return _by_file(weapons, otherwise="vehicle_part")(thing)


_RULES: dict[str, Callable[[Thing], str | None]] = {
    "MONSTER": _monster,
    "BOOK": _always("book"),
    "COMESTIBLE": _comestible,
    "ARMOR": _worn,
    "TOOL_ARMOR": _worn,
    "bionic": _always("bionic_implant"),
    "TOOL": _by_file(_ITEM_FILES),
    "GENERIC": _by_file(_ITEM_FILES),
    "WHEEL": _vehicle,
    "ENGINE": _vehicle,
    "furniture": _by_file(_FURNITURE_FILES, otherwise="furniture"),
    "terrain": _by_file(_TERRAIN_FILES),
}
