"""What hidden cells compute. Only the function is written; its derivative follows from it.

`slope` gives the derivative from the activity itself, where that is possible: it is cheaper, and it is what
scales the synthetic error of the input layer, whose activity no cell computed.
"""

from ruledsl.plugin import Value, activation, exp, relu, sigmoid, softplus, step, tanh


@activation("softplus", slope=lambda y, beta: 1.0 - exp(-beta * y))
def smooth_rectifier(z: Value, beta: float) -> Value:
    """log(1 + exp(βz))/β, the paper's (Eq. 11); β → ∞ is ReLU."""
    return softplus(z, beta)


@activation("relu", slope=lambda y, _: step(y))
def rectifier(z: Value, beta: float) -> Value:  # noqa: ARG001 - every activation is given β
    """max(z, 0); its derivative is taken to be 0 at 0.
    Meta-gradients do not see the kink: prefer --optimiser cma."""
    return relu(z)


@activation("tanh", slope=lambda y, beta: beta * (1.0 - y * y))
def hyperbolic_tangent(z: Value, beta: float) -> Value:
    """tanh(βz)."""
    return tanh(beta * z)


@activation("sigmoid", slope=lambda y, beta: beta * (y - y * y))
def logistic(z: Value, beta: float) -> Value:
    """1/(1 + exp(−βz))."""
    return sigmoid(beta * z)


@activation("identity", slope=lambda y, _: 0.0 * y + 1.0)
def linear(z: Value, beta: float) -> Value:  # noqa: ARG001 - every activation is given β
    """z itself: a linear network, in which much can be worked out by hand (Eq. 13)."""
    return 1.0 * z


@activation("swish")
def self_gated(z: Value, beta: float) -> Value:
    """z/(1 + exp(−βz)) (Ramachandran et al. 2017): not monotone, so its slope needs z;
    derived by the compiler."""
    return z * sigmoid(beta * z)
