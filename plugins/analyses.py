"""Further sentences of `ruledsl explain`: each plugin is given a rule with its Θ, and gives findings."""

from collections.abc import Iterator

import numpy as np

from ruledsl.plugin import Analysed, Finding, analysis

SEEDS = 5
LETTERS = {"y": ("y_", "z_"), "e": ("e_",), "W": ("W",)}
"""What changes its sign together."""


@analysis("symmetries")
def symmetries(subject: Analysed) -> Iterator[Finding]:
    """What becomes of each term's update when all activities, errors, or weights change their sign."""
    for term, reads in subject.terms.items():
        told = []
        for letter, beginnings in LETTERS.items():
            flipped = [name for name in reads if name.startswith(beginnings)]
            if flipped:
                told.append(f"{letter} → −{letter} {_answer(subject, term, flipped)}")
        if told:
            yield Finding(", ".join(told), term)


def _answer(subject: Analysed, term: str, flipped: list[str]) -> str:
    """From the update of random samples in five networks, entry by entry."""
    kept = turned = True
    for seed in range(SEEDS):
        drawn = subject.draw(seed)
        before = subject.update(term, **drawn)
        after = subject.update(term, **drawn | {name: -drawn[name] for name in flipped})
        kept, turned = kept and np.allclose(after, before), turned and np.allclose(after, -before)
    return "leaves it as it is" if kept else "turns it round" if turned else "makes it another"
