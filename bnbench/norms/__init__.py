"""Normalisation layers: our batch normalisation, what it is compared with, population policies."""

from bnbench.norms.baselines import NORMS as NORMS
from bnbench.norms.batchnorm import BatchNorm1d as BatchNorm1d
from bnbench.norms.batchnorm import BatchNorm2d as BatchNorm2d
from bnbench.norms.batchnorm import BatchNorm3d as BatchNorm3d
from bnbench.norms.batchnorm import BatchNormReLU1d as BatchNormReLU1d
from bnbench.norms.batchnorm import BatchNormReLU2d as BatchNormReLU2d
from bnbench.norms.batchnorm import BatchNormReLU3d as BatchNormReLU3d
from bnbench.norms.population import has_population as has_population
from bnbench.norms.population import population as population
