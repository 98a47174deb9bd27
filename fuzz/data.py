"""Data files: arrays of every type and shape, damaged containers, pictures that are none."""

from __future__ import annotations

import io
import json
import random
import shutil
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np

from fuzz.attack import Attack
from ruledsl.settings import TrainSettings
from ruledsl.tasks import DataWarning, draw_task, open_dataset

TYPES = ("f2", "f4", "f8", "i1", "i4", "i8", "u1", "u8", "?", "c8", "c16", "U3", "S3", "M8[s]", "i4,f4", "O")
SHAPES = (
    (),
    (0,),
    (6,),
    (6, 4),
    (6, 7, 7),
    (6, 7, 5),
    (6, 2, 7, 7),
    (0, 4),
    (6, 0),
    (1, 1),
    (3,),
    (6, 1),
    (1, 6, 4),
)
NUMBERS = (0.0, 1.0, -1.0, 255.0, 1e300, -1e300, np.nan, np.inf, 1e-320, 3.4e38, 65504.0)
SETTINGS = TrainSettings.of(sizes="49-6-4", labels=2, shots=1, queries=1)


class Data(Attack):
    name = "data"
    slow = 5.0

    def draw(self, chance: random.Random) -> dict[str, object]:
        return {
            "kind": chance.choice(("npz", "npz", "npz", "safetensors", "idx", "omniglot", "bomb")),
            "x": (chance.choice(TYPES), chance.choice(SHAPES)),
            "y": (chance.choice(TYPES), chance.choice(SHAPES)),
            "fill": chance.choice(("ramp", "ramp", *map(str, NUMBERS))),
            "names": chance.choice((("x", "y"), ("x", "y"), ("x",), ("a", "b"), ())),
            "harm": chance.choice(("", "", "cut", "flip", "empty", "bytes")),
            "seed": chance.randrange(10**9),
        }

    def attempt(self, case: dict[str, object]) -> str:
        chance = random.Random(int(str(case["seed"])))
        kind = str(case["kind"])
        spec = getattr(self, f"_{kind}")(case, chance)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", RuntimeWarning)
            warnings.simplefilter("ignore", DataWarning)
            source = open_dataset(spec, self.folder)
            draw_task(source, SETTINGS, 0, 0, 0)
        return "taken"

    def _harmed(self, path: Path, case: dict[str, object], chance: random.Random) -> str:
        data = path.read_bytes()
        at = chance.randrange(len(data)) if data else 0
        match case["harm"]:
            case "cut":
                path.write_bytes(data[:at])
            case "flip" if data:
                path.write_bytes(data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :])
            case "empty":
                path.write_bytes(b"")
            case "bytes":
                path.write_bytes(chance.randbytes(chance.randrange(300)))
            case _:
                pass
        return str(path)

    def _npz(self, case: dict[str, object], chance: random.Random) -> str:
        path = self.folder / "data.npz"
        arrays = {n: made(case[k], str(case["fill"])) for n, k in zip(case["names"], "xy", strict=False)}  # type: ignore[arg-type]
        np.savez(path, **arrays)  # type: ignore[arg-type]
        return self._harmed(path, case, chance)

    def _safetensors(self, case: dict[str, object], chance: random.Random) -> str:
        path = self.folder / "data.safetensors"
        kind = chance.choice(("F32", "F64", "I64", "F8_E4M3", "BF16", "BOOL", "U8", "X"))
        size = {"F32": 4, "F64": 8, "I64": 8, "BF16": 2}.get(kind, 1)
        shape = chance.choice([s for s in SHAPES if s])
        count = int(np.prod(shape)) * size
        ends = chance.choice((count, count, count + 1, 10**15, -1))
        x = {"dtype": kind, "shape": shape, "data_offsets": [0, ends]}
        y = {"dtype": "I64", "shape": [1], "data_offsets": [ends, ends + 8]}
        text = json.dumps({"x": x, "y": y}).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(count + 8))
        return self._harmed(path, case, chance)

    def _idx(self, case: dict[str, object], chance: random.Random) -> str:
        raw = self.folder / "MNIST" / "raw"
        raw.mkdir(parents=True, exist_ok=True)
        dimensions = chance.choice(
            ((6, 7, 7), (6, 7, 7), (2**32 - 1,) * 3, (2**31, 2**31, 4), (0, 7, 7), (6,), (6, 7, 5))
        )
        body = bytes(min(int(np.prod(np.array(dimensions, dtype=object))), 300))
        (raw / "train-images-idx3-ubyte").write_bytes(
            b"\0\0\x08" + bytes([chance.choice((len(dimensions), 3, 0, 9))])
            + b"".join(struct.pack(">I", d) for d in dimensions) + body
        )  # fmt: skip
        (raw / "train-labels-idx1-ubyte").write_bytes(
            b"\0\0\x08\x01" + struct.pack(">I", 6) + bytes(range(6))
        )
        self._harmed(raw / "train-images-idx3-ubyte", case, chance)
        return "mnist"

    def _omniglot(self, case: dict[str, object], chance: random.Random) -> str:
        from PIL import Image

        root = self.folder / "omniglot-py"
        shutil.rmtree(root, ignore_errors=True)
        for letter in "abc":
            folder = root / "images_background" / "alphabet" / letter
            folder.mkdir(parents=True)
            for n in range(3):
                Image.new("1", (105, 105), n % 2).save(folder / f"{n}.png")
        self._harmed(root / "images_background" / "alphabet" / "a" / "0.png", case, chance)
        return "omniglot"

    def _bomb(self, case: dict[str, object], chance: random.Random) -> str:
        """A few kilobytes that are gigabytes when unpacked."""
        path = self.folder / "bomb.npz"
        head = io.BytesIO()
        shape = chance.choice(((10**9, 8), (10**5, 10**5), (2**40,)))
        np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": shape})
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.npy", head.getvalue() + bytes(10**7))
            archive.writestr("y.npy", head.getvalue() + bytes(10))
        return str(path)


def made(wanted: object, fill: str) -> np.ndarray:  # type: ignore[type-arg]
    kind, shape = wanted  # type: ignore[misc]
    if kind == "O":
        return np.full(shape, None, dtype=object)
    ramp = np.arange(int(np.prod(shape)) or 0, dtype=np.float64).reshape(shape)
    values = ramp if fill == "ramp" else np.full(shape, float(fill))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return values.astype(kind) if "," not in kind else np.zeros(shape, dtype=kind)
