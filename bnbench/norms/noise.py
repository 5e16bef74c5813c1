"""Noise that changes with every step, behind batch normalisation and alone.

Santurkar et al. 2018, section 2.1 and appendix A, cause covariate shift with it on purpose, to see
whether what batch normalisation gains is lost.
"""

from typing import Any

import torch
from torch import Tensor, nn

from bnbench.norms.held import HoldsBatchNorm
from bnbench.norms.leaf import Leaf
from bnbench.norms.variants import AnyRank


class Noise(Leaf, nn.Module):
    """Noise in training whose distribution is another at every step: it causes covariate shift.

    Santurkar et al. 2018, appendix A, Algorithm 1. At each step, for each channel j and each of its
    values i in the batch (as in batch normalisation, every location of an image is one),

        mu_j ~ U(-n_mu, n_mu)                   sigma_j ~ U(1, n_sigma)
        m_ij ~ U(mu_j - r_mu, mu_j + r_mu)      s_ij ~ N(sigma_j, r_sigma²)
        x_ij <- s_ij x_ij + m_ij

    The constants are the paper's, where r_sigma is read as a standard deviation. In evaluation the
    layer is the identity.

    Raises:
        ValueError: n_sigma below 1 or any other below 0.
    """

    def __init__(
        self, n_mu: float = 0.5, n_sigma: float = 1.25, r_mu: float = 0.1, r_sigma: float = 0.1
    ) -> None:
        super().__init__()
        self.n_mu, self.n_sigma, self.r_mu, self.r_sigma = n_mu, n_sigma, r_mu, r_sigma
        if not (n_sigma >= 1 and min(n_mu, r_mu, r_sigma) >= 0):
            raise ValueError(f"{self}: expected n_sigma at least 1 and the others at least 0")

    def forward(self, input: Tensor) -> Tensor:
        """Add the noise to (N, C, *), drawn from torch's global generator, in training only."""
        if not self.training:
            return input
        per_channel = (1, input.shape[1], *[1] * (input.dim() - 2))
        mu = input.new_empty(per_channel).uniform_(-self.n_mu, self.n_mu)
        sigma = input.new_empty(per_channel).uniform_(1, self.n_sigma)
        m = mu + self.r_mu * (2 * torch.rand_like(input) - 1)
        s = sigma + self.r_sigma * torch.randn_like(input)
        return s * input + m

    def extra_repr(self) -> str:
        """The constants."""
        return f"n_mu={self.n_mu}, n_sigma={self.n_sigma}, r_mu={self.r_mu}, r_sigma={self.r_sigma}"


class NoisyBatchNorm(HoldsBatchNorm):
    """Batch normalisation, then `Noise`: its child `noise`, whose constants are arguments here.

    Args:
        num_features: C.
        n_mu, n_sigma, r_mu, r_sigma: as for `Noise`.
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
        self.noise = Noise(n_mu, n_sigma, r_mu, r_sigma)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise as `BatchNorm1d`, then add the noise, in training only."""
        return self.noise(self.norm(input))
