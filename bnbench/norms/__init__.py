"""Normalisation layers: our batch normalisation, what it is compared with, population policies.

Usable without the rest of bnbench. Begin with `functional` (the formulas, forward and backward),
then `batchnorm` (the layer and its running statistics); `baselines` has the table of all norms.
"""

from bnbench.norms.baselines import NORMS as NORMS
from bnbench.norms.batchnorm import BatchNorm1d as BatchNorm1d
from bnbench.norms.batchnorm import BatchNorm2d as BatchNorm2d
from bnbench.norms.batchnorm import BatchNorm3d as BatchNorm3d
from bnbench.norms.held import BatchNormReLU1d as BatchNormReLU1d
from bnbench.norms.held import BatchNormReLU2d as BatchNormReLU2d
from bnbench.norms.held import BatchNormReLU3d as BatchNormReLU3d
from bnbench.norms.held import HoldsBatchNorm as HoldsBatchNorm
from bnbench.norms.lp import L1BatchNorm as L1BatchNorm
from bnbench.norms.lp import L2Norm as L2Norm
from bnbench.norms.lp import LInfBatchNorm as LInfBatchNorm
from bnbench.norms.noise import Noise as Noise
from bnbench.norms.noise import NoisyBatchNorm as NoisyBatchNorm
from bnbench.norms.population import has_population as has_population
from bnbench.norms.population import population as population
from bnbench.norms.recalibration import recalibrated as recalibrated
from bnbench.norms.sync import SyncBatchNorm as SyncBatchNorm
from bnbench.norms.sync import convert_sync_batchnorm as convert_sync_batchnorm
from bnbench.norms.variants import BatchNormLrn as BatchNormLrn
from bnbench.norms.variants import BatchRenorm as BatchRenorm
from bnbench.norms.variants import GhostBatchNorm as GhostBatchNorm
