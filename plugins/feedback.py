"""How the output's error reaches every layer.
Each pathway gives e_ℓ for ℓ = L−1 … 0; σ' is applied by `net.carry`."""

from ruledsl.plugin import Pathway, absolute, feedback, sign


@feedback("fixed")
def fixed_random(net: Pathway) -> None:
    """Feedback alignment: layer by layer through fixed random B (Lillicrap et al. 2016; Eq. 3)."""
    for layer in net.hidden:
        net.carry(layer, net.back(layer) @ net.error(layer + 1))


@feedback("symmetric")
def backpropagation(net: Pathway) -> None:
    """Backprop: layer by layer through Wᵀ, as it is at every step; the exact gradient."""
    for layer in net.hidden:
        net.carry(layer, net.weights(layer).T @ net.error(layer + 1))


@feedback("direct")
def direct(net: Pathway) -> None:
    """Direct feedback alignment: every layer hears the output through its own random B (Nøkland 2016;
    Fig. S1)."""
    for layer in net.hidden:
        net.carry(layer, net.back(layer, source=net.depth) @ net.error(net.depth))


@feedback("sign_uniform")
def sign_uniform(net: Pathway) -> None:
    """Signs of W with one magnitude for all (uSF, Liao et al.
    2016): that of W's Xavier draw, √(2/(n_in + n_out))."""
    for layer in net.hidden:
        net.carry(layer, net.spread(layer) * (sign(net.weights(layer)).T @ net.error(layer + 1)))


@feedback("sign_fixed")
def sign_fixed_magnitude(net: Pathway) -> None:
    """Signs of W with fixed random magnitudes |B| (frSF, Liao et al. 2016)."""
    for layer in net.hidden:
        concordant = absolute(net.back(layer)) * sign(net.weights(layer)).T
        net.carry(layer, concordant @ net.error(layer + 1))


@feedback("sign_redrawn")
def sign_redrawn_magnitude(net: Pathway) -> None:
    """Signs of W, magnitudes redrawn at every sample (brSF, Liao et al.
    2016): here |B| times random cell gains."""
    for layer in net.hidden:
        concordant = absolute(net.back(layer)) * sign(net.weights(layer)).T
        heard = absolute(net.random(layer + 1)) * net.error(layer + 1)
        # ⟨|g|⟩ = √(2/π) for each of the two normal gains.
        net.carry(layer, 1.5707963267948966 * absolute(net.random(layer)) * (concordant @ heard))


@feedback("mixture")
def mixture(net: Pathway) -> None:
    """Layered and direct feedback mixed in each layer, by coefficients that are meta-learned (paper,
    Discussion)."""
    for layer in net.hidden:
        mix = net.coefficient(f"direct_{layer}", start=0.5, low=0.0, high=1.0, step=30.0)
        layered = net.back(layer) @ net.error(layer + 1)
        straight = net.back(layer, source=net.depth, family="D") @ net.error(net.depth)
        net.carry(layer, layered + mix * (straight - layered))
