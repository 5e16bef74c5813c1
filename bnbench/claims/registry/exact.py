"""E1 to E13: what is true of the layer to round-off; `measured.exact` measures them."""

from collections.abc import Mapping

from bnbench.claims.records import Claim

SENTENCES: Mapping[str, tuple[str, str]] = {
    "E1": (
        "Our BatchNorm is torch.nn's: output, gradients, running statistics and evaluation.",
        "N0, N3 and N4 print formulas or code as BatchNorm; Ioffe & Szegedy 2015, Alg. 1 and 2",
    ),
    "E2": (
        "The closed-form gradient is exact, and it is the one that the layer computes.",
        "N4; Ioffe & Szegedy 2015, section 3",
    ),
    "E3": (
        "Batch means and m/(m-1) times batch variances average to the population's, unless batches "
        "are sorted by class.",
        "Ioffe & Szegedy 2015, Alg. 2; Wu & Johnson 2021, section 3",
    ),
    "E4": (
        "A bias straight before BN learns nothing.",
        "Ioffe & Szegedy 2015, section 3.2; N3 lists b among what is learned",
    ),
    "E5": (
        "BN does not see the scale of the weights before it; their gradient shrinks as they grow.",
        "Ioffe & Szegedy 2015, section 3.3",
    ),
    "E6": (
        "gamma = sqrt(sigma2 + eps), beta = mu give the input back for one batch and in "
        "evaluation, not in training.",
        "Ioffe & Szegedy 2015, section 3; N1, N3 and N4 say it of training",
    ),
    "E7": (
        "In feature maps every position is a sample; there are 2C parameters, however many "
        "batches.",
        "Ioffe & Szegedy 2015, section 3.2; N1, who also says that every batch brings its own",
    ),
    "E8": (
        "Normalised values have variance sigma2/(sigma2 + eps), below 1.",
        "Ioffe & Szegedy 2015, Alg. 1; N0, N3 and N4 say that it is 1",
    ),
    "E9": (
        "In batches of m normal values, E[1/sigma2_B] = m/(m - 3), and infinite for m up to 3.",
        "the mean of an inverse chi-squared variable; explains what N0 and N4 say of small batches",
    ),
    "E10": (
        "In evaluation the output for an image depends on nothing else in its batch; in training "
        "it does.",
        "Ioffe & Szegedy 2015, section 3.1; N4",
    ),
    "E11": (
        "In evaluation BN is one affine map per channel, and a convolution can take it in.",
        "Ioffe & Szegedy 2015, Alg. 2; N1 and N4",
    ),
    "E12": (
        "Of weights before BN, a fixed rate with weight decay trains the same functions as an "
        "exponentially growing rate without it.",
        "Li & Arora 2019 (arXiv 1910.07454), section 2",
    ),
    "E13": (
        "Weights before BN that are c times as large train the same functions at c² times the rate "
        "and 1/c² of the decay.",
        "van Laarhoven 2017 (arXiv 1706.05350), section 3; Zhang et al. 2018 (arXiv 1810.12281)",
    ),
}

EXACT: dict[str, Claim] = {
    name: Claim(
        id=name,
        sentence=sentence,
        says=says,
        experiments=("exact",),
        protocol="Arithmetic on drawn tensors; the same numbers at every call.",
        rule=(
            "Every number keeps its bound (bnbench/measured/exact): nothing is estimated, so "
            "nothing is tested."
        ),
    )
    for name, (sentence, says) in SENTENCES.items()
}
