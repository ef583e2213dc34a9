"""The class of a model: a rule on its name and its catalogue's category."""

from __future__ import annotations

import re

# The first rule that matches decides; it sees the name and then " @" and the category, all in lower case.
_RULES = {
    "socket_switch": r"\b(plug|switch|socket|dimmer|rj45|antenna)\b",
    "lamp": r"lamp|light|candle|lantern|uplight|chandelier|track lights|spotlight|flashlight",
    "person_animal": r"@characters|\b(horse|deer|mannequin|doll)\b(?! house)",
    "vehicle": r"@vehicles|rowboat|biplane|wheelbarrow|wheelchair|toy train|car model",
    "door_window": r"@doors|\b(door|window|curtains?|blind|shutter)s?\b(?!.*cabinet)|french ?window|doorframe"
    r"|service hatch",
    "bathroom_fixture": r"washbasin|toilet|urinal|bidet|shower|\bbath|bathtub|jacuzzi|lavatory|vanity|basin|\bsink\b"
    r"|faucet|towel rack",
    "cooker_appliance": r"oven|fridge|refrigerator|freezer|stove|cook(er|top)|hood|microwave|mixer|blender"
    r"|washing machine|washer|dryer|dishwasher|toaster|fryer|boiler|brewer|coffee (maker|machine|press)|kettle|heater"
    r"|radiator|air condition|fan\b|furnace|sandwich maker|vacuum",
    "tableware_food": r"glass\b(?! (table|door))|cup\b|plate|bowl|bottle|mug|fork|spoon|kni(f|v)e|\bpan\b|pot\b|tray"
    r"|bread|butter|milk|cake|hot dog|hamburger|chicken|steak|fries|apples\b|sugar|salt|teapot|creamer|jar|cutlery"
    r"|utensil|kitchen tools|spice|squeezer|chopping|vase|flacon|pottery|oil servers|ashtray|hashtray",
    "electronics": r"\btv\b|television(?! cab)|phone|laptop|imac|ibook|computer|radio|stereo|speaker|camera|screen|mp3"
    r"|dvd|playstation|video|printer|keyboard|tablet|intercom|cctv|thermometer|clock|alarm|detector|amplifier|remote"
    r"|joystick|headphones|bell ring|speech unit",
    "seat": r"chair|stool|bench|\bseat\b|ottoman|puff|\bbank\b|lounge|hammock|swing",
    "sofa_bed": r"sofa|couch|\bbed\b|bed\d|futon|crib|mattress|sleeping bag|bunk",
    "table_desk": r"table(?!t)|desk|workbench|trestle",
    "storage": r"cabinet|wardrobe|bookcase|shel(f|ves)|glass door cabinet|cupboard|drawer|dresser|chest|\bbox\b|crate"
    r"|barrel|locker|safe|basket\b|bin\b|trash|dustbin|container|tv unit|bedside|pallet|rack|stand\b|trunck|tower",
    "plant_tree": r"plant|tree|flower|tulip|bamboo|cactus|orchid|ficus|yucca|lily|palm|pine|hedge|bush|spathi|bonsai"
    r"|acacia|beech|cypress|maple|poplar|blossom",
    "clothing_bag": r"cloth|skirt|watch|shoes|slippers|handbag|backpack|briefcase|suit|sneaker|dress|\bcap\b|\bhat\b"
    r"|helmet|short|trouser|jacket|ring\b|glove|bootie|mocassin|umbrella|glasses|towel|keys",
    "sport_toy_music": r"ball|tennis|toy|puzzle|teddy|piano|guitar|xylophone|chess|card game|rubik|treadmill|bike|goal"
    r"|game|punching|trampoline|seesaw|flipper|fitness|abdominal|children|hut\b|doll house|rocking",
    "hand_tool": r"\btools?\b|pencil|saw\b|drill|hammer|screwdriver|grinder|shovel|broom|scissors|ruler|mower|pliers"
    r"|\btape\b|tape measure|stapler|ladder|marker|hose reel|extinguisher|lock\b",
    "outdoor_structure": r"railing|fence|column|rock\b|fountain|swimming|pool|sandpit|house|tent|barnum|hydrant|mailbox"
    r"|letters box|parking|crossing|arrow|rails|snowman|chimney|stair|escalator|fireplace|sidewalk|cone",
}
_COMPILED = {label: re.compile(rule) for label, rule in _RULES.items()}
CLASSES = tuple(_RULES)


def class_of(name: str, category: str) -> str | None:
    """The class of a model; None for the few that no rule knows."""
    text = f"{name.lower()} @{category.lower()}"
    return next((label for label, rule in _COMPILED.items() if rule.search(text)), None)
