"""Noise that changes with every step, behind batch normalisation and alone.

Santurkar et al. 2018, section 2.1 and appendix A, cause covariate shift with it on purpose, to see
whether what batch normalisation gains is lost.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bnbench.norms.held import HoldsBatchNorm
from bnbench.norms.leaf import Leaf
from bnbench.norms.variants import AnyRank


@dataclass(frozen=True)
class NonStationaryNoise:
    """Noise whose distribution is another at every step, so that it causes covariate shift.

    Santurkar et al. 2018, appendix A, Algorithm 1. At each step, for each channel j and each of its
    values i in the batch (as in batch normalisation, every location of an image is one),

        mu_j ~ U(-n_mu, n_mu)                   sigma_j ~ U(1, n_sigma)
        m_ij ~ U(mu_j - r_mu, mu_j + r_mu)      s_ij ~ N(sigma_j, r_sigma²)
        x_ij <- s_ij x_ij + m_ij

    The constants are the paper's, where r_sigma is read as a standard deviation.

    Raises:
        ValueError: n_sigma below 1 or any other below 0.
    """

    n_mu: float = 0.5
    n_sigma: float = 1.25
    r_mu: float = 0.1
    r_sigma: float = 0.1

    def __post_init__(self) -> None:
        if not (self.n_sigma >= 1 and min(self.n_mu, self.r_mu, self.r_sigma) >= 0):
            raise ValueError(f"{self}: expected n_sigma at least 1 and the others at least 0")

    def add(self, x: Tensor) -> Tensor:
        """Add noise to x (N, C, *), drawn from torch's global generator."""
        per_channel = (1, x.shape[1], *[1] * (x.dim() - 2))
        mu = x.new_empty(per_channel).uniform_(-self.n_mu, self.n_mu)
        sigma = x.new_empty(per_channel).uniform_(1, self.n_sigma)
        m = mu + self.r_mu * (2 * torch.rand_like(x) - 1)
        s = sigma + self.r_sigma * torch.randn_like(x)
        return s * x + m


class Noise(Leaf, nn.Module):
    """`NonStationaryNoise` in training, the identity in evaluation; arguments are its constants."""

    def __init__(self, **constants: float) -> None:
        super().__init__()
        self.noise = NonStationaryNoise(**constants)

    def forward(self, input: Tensor) -> Tensor:
        """Add the noise, in training only."""
        return self.noise.add(input) if self.training else input

    def extra_repr(self) -> str:
        """The constants."""
        return str(self.noise)


class NoisyBatchNorm(HoldsBatchNorm):
    """Batch normalisation whose output gets `NonStationaryNoise` in training.

    Args:
        num_features: C.
        n_mu: see `NonStationaryNoise`, as the next three.
        n_sigma: see above.
        r_mu: see above.
        r_sigma: see above.
        options: as for `BatchNorm1d`.
    """

    holds = AnyRank

    def __init__(
        self,
        num_features: int,
        *,
        n_mu: float = 0.5,
        n_sigma: float = 1.25,
        r_mu: float = 0.1,
        r_sigma: float = 0.1,
        **options: Any,
    ) -> None:
        super().__init__(num_features, **options)
        self.noise = NonStationaryNoise(n_mu, n_sigma, r_mu, r_sigma)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise as `BatchNorm1d`, then add the noise, in training only."""
        y = self.norm(input)
        return self.noise.add(y) if self.training else y

    def extra_repr(self) -> str:
        """The arguments."""
        return str(self.noise)
