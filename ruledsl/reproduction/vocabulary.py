"""What files of claims may measure and show."""

from __future__ import annotations

from collections.abc import Mapping

MEASURES: Mapping[str, Mapping[str, str]] = {
    "Training": {
        "accuracy": "query accuracy, mean over the episodes",
        "loss": "meta-loss, mean over the episodes",
        "refused": "share of the episodes that diverged or were not finite",
        "angle": "angle[ℓ] α_ℓ in degrees; without ℓ the mean of layers 1 … L−1",
        "deep_angle": "α of the last hidden layer minus α of the first",
        "ortho": "ortho[ℓ] the orthonormality error E_W (Eq. 10)",
        "ortho_sum": "ortho_sum[ℓ] E_W added up over the query set, as the released code has it",
        "log_ortho": "log_ortho[ℓ] its decimal logarithm",
        "theta": "theta[NAME] a coefficient, by name or by number, mean over the episodes",
        "small": "small[NAME …] how many of these coefficients have a mean below 2·10⁻³, two of Adam's steps",
        "zeros": "how many coefficients are exactly zero in the last episode",
        "settles": "settles[NAME] the episode after which a coefficient stays within 20 % of its last 100",
        "trend_settles": "trend_settles[NAME] the same of the moving average over 51 episodes in place of 11",
        "diagnostic": "diagnostic[NAME] a diagnostic's column",
    },
    "LongStream": {
        "accuracy_at": "accuracy_at[N] accuracy on held-out images after N samples",
        "angle_at": "angle_at[N] mean α of layers 1 … L−1 after N samples",
        "aligns": "α after the last sample minus α before the first, mean of layers 1 … L−1",
        "reaches": "reaches[A] samples after which accuracy is first at least A",
    },
    "Theory": {
        "gradient_digits": "decimal digits in which F⁰ through Wᵀ and autograd's gradient agree",
        "angle_to_B": "angle_to_B[ℓ] degrees between ⟨e_ℓ e_{ℓ−1}ᵀ⟩ and Bᵀ, weights that enter layer ℓ",
        "angle_to_covariance": "angle_to_covariance[ℓ] degrees between ⟨e_ℓ e_{ℓ−1}ᵀ⟩ and Cov(e_ℓ) Bᵀ",
    },
}
"""For each kind of experiment, every measure with what it means."""
NEED_ARGUMENT: Mapping[str, str] = {
    "theta": "a coefficient", "small": "coefficients", "settles": "a coefficient", "trend_settles": "a coefficient",
    "diagnostic": "a diagnostic", "accuracy_at": "a number of samples", "angle_at": "a number of samples",
    "reaches": "an accuracy", "angle_to_B": "a layer", "angle_to_covariance": "a layer",
}  # fmt: skip
TAKE_ARGUMENT = ("angle", "ortho", "ortho_sum", "log_ortho")
"""Measures that may name a layer."""
THEORIES = ("gradient", "error_hebb")
SHOWN = ("accuracy", "loss", "angle", "theta", "ortho", "claims")
"""What a panel may draw."""
SMALL = 2e-3
SETTLED = 0.2
