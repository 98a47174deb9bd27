"""Elementwise functions for rules, made of those the language has: `term a = -e_post * shrink(y_pre)^T`."""

from ruledsl.plugin import absolute, exp, function, relu, sign


@function("shrink")
def soft_threshold(x):
    """sign(x) · max(|x| − 0.1, 0): small activities count as none."""
    return sign(x) * relu(absolute(x) - 0.1)


@function("bell")
def gaussian(x):
    """exp(−x²/2): a synapse that listens most where x is small."""
    return exp(-0.5 * x * x)
