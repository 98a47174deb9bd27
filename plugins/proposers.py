"""What a search tries next: each is given the rules that the last round kept, and makes others of them."""

from collections.abc import Iterator
from itertools import islice

from ruledsl.plugin import Idea, Scene, proposer

IN_PLACE = 2
"""Promising terms that are tried in the place of each of a rule's own."""
SOON, OVER_ALL = 0.1, 0.4
"""Shares of a stream after which plasticity is half of what it was."""


@proposer("enumeration")
def enumeration(scene: Scene) -> Iterator[Idea]:
    """Every term of the library that a rule lacks, added; the most promising in the place of one of its own;
    and the rule without each."""
    promising = [scene.term(name) for name in scene.promising[:IN_PLACE]]
    for parent in scene.parents:
        yield from (parent.adding(item) for item in scene.absent(parent))
        for item in parent.terms:
            yield from (parent.replacing(item, other) for other in promising)
            if len(parent.terms) > 2:
                yield parent.without(item)


@proposer("pairs")
def pairs(scene: Scene) -> Iterator[Idea]:
    """Two absent terms at once, added to the best rule: some help only together, and neither shows it alone.
    Those of the most promising terms come first, as many as `--pairs` says; in the first round, where nothing
    has raced yet, those of the library's first terms."""
    best = scene.parents[0]
    absent = {item.name: item for item in scene.absent(best)}
    order = [absent.pop(name) for name in scene.promising if name in absent] + list(absent.values())
    both = ((order[n], other) for n in range(len(order)) for other in order[:n])
    yield from (best.adding(*pair) for pair in islice(both, scene.search.pairs))


@proposer("merging")
def merging(scene: Scene) -> Iterator[Idea]:
    """Outer products whose coefficients belong together, as one term."""
    for parent in scene.parents:
        yield from scene.merged(parent)


@proposer("layers")
def layers(scene: Scene) -> Iterator[Idea]:
    """A term with a coefficient of its own in the first, the hidden and the last layer."""
    between = [(2, scene.depth - 1)] if scene.depth > 2 else []
    for parent in scene.parents:
        for item in parent.free:
            if item.options.layers is None and scene.depth > 1:
                ranges = [(1, 1), *between, (scene.depth, scene.depth)]
                yield parent.replacing(item, *(parent.confined(item, low, high) for low, high in ranges))


@proposer("slowing")
def slowing(scene: Scene) -> Iterator[Idea]:
    """Plasticity that slows with the samples a synapse has seen: soon, over the stream, or for one term."""
    for parent in scene.parents:
        steady = [item for item in parent.free if "age" not in scene.reads(item)]
        for share in (SOON, OVER_ALL) if steady else ():
            slow = {item.name: scene.slowing(item, share) for item in steady}
            terms = [slow.get(t.name, t) for t in parent.terms]
            yield parent.idea(terms, f"slows down, τ = {share:g} streams")
        if len(steady) > 1:
            yield from (parent.replacing(item, scene.slowing(item, OVER_ALL)) for item in steady)


@proposer("mutation")
def mutation(scene: Scene) -> Iterator[Idea]:
    """Terms changed at random, beyond the library: beside what they were, or in its place."""
    for number, parent in enumerate(scene.parents):
        for n in range(scene.search.mutants if parent.free else 0):
            item = scene.chance.choice(parent.free)
            changed = scene.mutant(item, f"m{scene.round}_{number}_{n}")
            if changed is not None:
                beside = scene.chance.random() < 0.5
                yield parent.adding(parent.silent(changed)) if beside else parent.replacing(item, changed)


@proposer("pathways")
def pathways(scene: Scene) -> Iterator[Idea]:
    """The same rule with errors that travel otherwise, or with other cells; see `--other-feedback`."""
    for parent in scene.parents:
        for name in scene.search.other_feedback:
            yield parent.idea(parent.terms, f"feedback {name}", feedback=name)
        for name in scene.search.other_activation:
            yield parent.idea(parent.terms, f"activation {name}", activation=name)
