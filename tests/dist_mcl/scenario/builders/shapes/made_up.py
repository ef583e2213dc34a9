"""Catalogues of boxes, in the places in which the packages have them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from dist_mcl.packages.download import Package
from dist_mcl.packages.shapes import CATALOGUES, PACKAGES

_FACES = ((1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4))


def box(width: float = 1, height: float = 1, depth: float = 1, cuts: int = 0) -> str:
    """An OBJ box of one material; `cuts` gives it another geometry, by vertices that no face uses."""
    corners = [(x * width, y * height, z * depth) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    lines = ["mtllib box.mtl", "usemtl paint"]
    lines += [f"v {x} {y} {z}" for x, y, z in corners]
    lines += [f"f {' '.join(map(str, face))}" for face in _FACES]
    for cut in range(cuts):  # slivers without area change the counts and nothing else
        lines += [f"v 0 0 {cut}", "f 1 1 2"]
    return "\n".join(lines) + "\n"


def paint(red: float, green: float, blue: float) -> str:
    return f"newmtl paint\nKd {red} {green} {blue}\n"


def striped_box() -> dict[str, bytes]:
    """A square in the plane z = 0, left half red and right half blue by its texture."""
    lines = ["mtllib box.mtl", "usemtl paint", *(f"v {x} {y} 0" for x, y in ((0, 0), (1, 0), (1, 1), (0, 1)))]
    lines += [*(f"vt {x} {y}" for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))), "f 1/1 2/2 3/3 4/4"]
    texture = Image.new("RGB", (2, 1), "red")
    texture.putpixel((1, 0), (0, 0, 255))
    file = io.BytesIO()
    texture.save(file, "PNG")
    material = b"newmtl paint\nKd 1 1 1\nmap_Kd skin.png\n"
    return {"m/box.obj": "\n".join(lines).encode(), "m/box.mtl": material, "m/skin.png": file.getvalue()}


def entry(number: int, name: str, size: Sequence[float] = (10, 10, 10), path: str = "", **more: str) -> str:
    said = {
        "name": name,
        "category": "Things",
        "model": path or f"/models/{number}/box.obj",
        "width": str(size[0]),
        "depth": str(size[1]),
        "height": str(size[2]),
        **more,
    }
    return "".join(f"{key}#{number}={value}\n" for key, value in said.items())


def write_packages(folder: Path, catalogues: Mapping[str, Mapping[str, bytes]]) -> dict[Package, Path]:
    """Archives that hold every catalogue; `catalogues` has files by the catalogue's name, all others are empty."""
    archives = {}
    for package in PACKAGES:
        path = folder / f"{package.name}.tgz"
        with tarfile.open(path, "w:gz") as tar:
            for catalogue in CATALOGUES:
                if catalogue.package == package:
                    files = {catalogue.properties: b"", **catalogues.get(catalogue.name, {})}
                    _add(tar, catalogue.archive, _zipped(files))
            _add(tar, f"usr/share/doc/{package.name}/copyright", f"{package.name}: free".encode())
        archives[package] = path
    return archives


def _zipped(files: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(f"./{name}")
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
