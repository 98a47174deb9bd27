"""The drawings of the pages: `python docs/_extensions/pictures.py` writes them to docs/_static."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

STATIC = Path(__file__).resolve().parents[1] / "_static"
INK, SOFT, READ, OWN = "#5a606b", "#b9bec8", "#2f63c4", "#c4472f"
"""Read on white and on dark paper alike."""


def line(
    x1: float, y1: float, x2: float, y2: float, colour: str = INK, width: float = 1.5, more: str = ""
) -> str:
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}" stroke-width="{width}" {more}/>'


def circle(x: float, y: float, colour: str, filled: bool) -> str:
    fill = colour if filled else "none"
    look = f'stroke="{colour}" stroke-width="2" fill="{fill}" fill-opacity="0.35"'
    return f'<circle cx="{x}" cy="{y}" r="9" {look}/>'


def text(x: float, y: float, words: str, size: int = 14, colour: str = INK, anchor: str = "middle") -> str:
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}" text-anchor="{anchor}" '
        f'font-family="sans-serif">{words}</text>'
    )


def box(x: float, y: float, w: float, h: float, words: str, colour: str = INK) -> str:
    look = f'rx="6" fill="none" stroke="{colour}" stroke-width="1.8"'
    return f'<rect x="{x}" y="{y}" width="{w}" height="{h}" {look}/>' + text(
        x + w / 2, y + h / 2 + 5, words, colour=colour
    )


def arrow(x1: float, y1: float, x2: float, y2: float, colour: str = INK) -> str:
    return line(x1, y1, x2, y2, colour, 1.8, 'marker-end="url(#head)"')


def picture(width: int, height: int, parts: Iterable[str], said: str) -> str:
    head = (
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        f'orient="auto-start-reverse"><path d="M0 0 L8 4 L0 8 z" fill="{INK}"/></marker></defs>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img">'
        f"<title>{said}</title>{head}{''.join(parts)}</svg>\n"
    )


def locality() -> str:
    """What the synapse from i to j may read, class by class: cells are filled, synapses drawn thick."""
    parts: list[str] = []
    rows = (60.0, 105.0, 150.0)
    for n, name in enumerate(("synapse", "dendrite", "axon", "layer")):
        left, right = 40 + 190 * n, 140 + 190 * n
        cells = {"synapse": ({1}, {1}), "dendrite": ({0, 1, 2}, {1}), "axon": ({1}, {0, 1, 2})}
        pre, post = cells.get(name, ({0, 1, 2}, {0, 1, 2}))
        read = {
            "synapse": {(1, 1)},
            "dendrite": {(a, 1) for a in range(3)},
            "axon": {(1, b) for b in range(3)},
        }
        for a in range(3):
            for b in range(3):
                own, known = (a, b) == (1, 1), (a, b) in read.get(name, {(1, 1)})
                colour = OWN if own else READ if known else SOFT
                parts.append(line(left + 9, rows[a], right - 9, rows[b], colour, 3 if own or known else 1))
        parts += [circle(left, y, READ if a in pre else SOFT, a in pre) for a, y in enumerate(rows)]
        parts += [circle(right, y, READ if b in post else SOFT, b in post) for b, y in enumerate(rows)]
        parts += [text((left + right) / 2, 25, name, 16), text(left, 185, "i"), text(right, 185, "j")]
    return picture(760, 200, parts, "What a synapse may read in each locality class")


def rebuilding() -> str:
    """Forward, vectors are kept; backward, weights are rebuilt from them."""
    parts: list[str] = []
    for n, name in enumerate(("W₀", "W₁", "W₂", "…", "W_T")):
        x = 20 + 150 * n
        parts.append(box(x, 40, 80, 36, name))
        parts.append(box(x, 170, 80, 36, name, READ))
        if n < 4:
            parts += [arrow(x + 84, 58, x + 146, 58), arrow(x + 146, 188, x + 84, 188)]
            parts += [text(x + 115, 48, "+ u vᵀ", 12), text(x + 115, 178, "− u vᵀ", 12, READ)]
            parts += [line(x + 115, 64, x + 115, 160, SOFT, 1.5, 'stroke-dasharray="4 4"')]
            parts += [text(x + 119, 117, "y, z, e kept", 11, INK, "start")]
    parts += [text(20, 24, "forward: weights are overwritten", 14, INK, "start")]
    parts += [text(20, 232, "backward: weights are rebuilt, with ∂loss/∂W beside them", 14, READ, "start")]
    parts += [arrow(700, 80, 700, 166)]
    return picture(760, 245, parts, "Rebuilding weights backwards from the vectors of each sample")


def episode() -> str:
    """One episode, and the loop around it."""
    parts = [
        box(20, 60, 120, 50, "random W, B"), arrow(142, 85, 188, 85),
        box(190, 60, 240, 50, "250 images, W += F(Θ)"), arrow(432, 85, 478, 85),
        box(480, 60, 150, 50, "50 questions"), arrow(632, 85, 668, 85), text(700, 90, "loss", 15),
        text(310, 132, "one by one; B carries the errors", 12),
        line(700, 100, 700, 185), line(700, 185, 310, 185), arrow(310, 185, 310, 142),
        text(505, 178, "∂loss/∂Θ, through all 250 updates", 13, READ),
    ]  # fmt: skip
    return picture(
        760, 205, parts, "An episode: a network's life, an examination, and the derivative through both"
    )


def main() -> None:
    for draw in (locality, rebuilding, episode):
        (STATIC / f"{draw.__name__}.svg").write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
