"""The number of seeds of every claim about training, set before the runs that judge it.

Each has 90 % power at its effect, with its standard deviation, after the adjustment for all claims
of the data set (`tests/claims/test_claims_registry.py`). An effect that falls short of the bound is
of a sentence that is expected to be false. A source names where effect and standard deviation come
from; an assumed one is a guess at what the first board measured in another form.
"""

from collections.abc import Mapping

from bnbench.claims.records import Sizing

FIRST_LOOK = "a first look, on seeds"
LOOK = "a first look, on seeds 0 to 2; assumed s.d."
PAIR_LOOK = "a first look, on seeds 0 and 1; assumed s.d."

# data set -> claim -> part, or "" for all of its parts -> size
SIZES: Mapping[str, Mapping[str, Mapping[str, Sizing]]] = {
    "digits": {
        "C1a": {
            "": Sizing(4.5, 3.0, 26, "Ioffe & Szegedy 2015, figure 1a; s.d. of the tuning runs"),
        },
        "C1b": {
            "": Sizing(0.9, 0.42, 26, "Ioffe & Szegedy 2015, figure 1a; s.d. of the tuning runs"),
        },
        "C2a": {
            "": Sizing(5.2, 0.7, 22, "Ioffe & Szegedy 2015, figure 2; s.d. of the tuning runs"),
        },
        "C2b": {
            "": Sizing(5.2, 1.0, 22, "Ioffe & Szegedy 2015, figure 2; s.d. of the tuning runs"),
        },
        "C3a": {
            "": Sizing(0.95, 0.5, 22, "Ioffe & Szegedy 2015, section 4.2.2; a share needs no s.d."),
        },
        "C3b": {
            "": Sizing(0.95, 0.5, 22, "Ioffe & Szegedy 2015, section 4.2.2; a share needs no s.d."),
        },
        "C3c": {
            "": Sizing(0.8, 0.65, 22, "Ioffe & Szegedy 2015, figure 2; s.d. of the tuning runs"),
        },
        "C3d": {
            "": Sizing(4.4, 0.59, 22, "Ioffe & Szegedy 2015, figure 2; s.d. of the tuning runs"),
        },
        "C3e": {
            "": Sizing(1.8, 0.73, 48, "Ioffe & Szegedy 2015, figure 2; s.d. of the tuning runs"),
        },
        "C3f": {
            "": Sizing(0.6, 0.81, 48, "the first board; s.d. of the tuning runs"),
        },
        "C4": {
            "without BN, 20 layers": Sizing(
                10.3, 1.1, 20, "the first board; s.d. of the first board"
            ),
            "with BN, 20 layers": Sizing(92.0, 1.5, 20, "the first board; s.d. of the first board"),
            "without BN, 20 layers, 3 times as long": Sizing(
                10.3, 1.1, 20, "the first board; s.d. of the first board"
            ),
            "without BN, 20 layers, weights for sigmoids": Sizing(
                10.3, 1.1, 20, "the first board; s.d. of the first board"
            ),
        },
        "C5": {
            "": Sizing(1.0, 0.33, 28, "the first board; s.d. of the first board"),
        },
        "C6a": {
            "": Sizing(
                0.5,
                0.64,
                40,
                "Ioffe & Szegedy 2015, section 4.2.2: 72.2 to 72.7 %; s.d. of the tuning runs",
            ),
        },
        "C6b": {
            "": Sizing(2.4, 1.6, 40, "the tuning runs; s.d. of the tuning runs"),
        },
        "C7a": {
            "": Sizing(1.5, 0.43, 12, "the first board; s.d. of the first board"),
        },
        "C7b": {
            "": Sizing(1.9, 0.35, 12, "the first board; s.d. of the first board"),
        },
        "C7c": {
            "": Sizing(
                0.0,
                0.6,
                40,
                "van Laarhoven 2017: decay only sets the effective rate; assumed s.d.",
            ),
        },
        "C7d": {
            "": Sizing(-2.4, 0.46, 12, "the first board; s.d. of the first board"),
        },
        "C8a": {
            "": Sizing(2.9, 1.0, 20, "caffenet-benchmark: .470 to .499; s.d. of the tuning runs"),
        },
        "C8b": {
            "": Sizing(
                0.0, 0.66, 20, "caffenet-benchmark: LRN adds nothing; s.d. of the tuning runs"
            ),
        },
        "C9": {
            "": Sizing(
                1.0, 1.2, 64, "Ioffe & Szegedy 2015, section 4.2.1; s.d. of the first board"
            ),
        },
        "M1a": {
            "": Sizing(-4.4228, 0.24, 16, "the first board; s.d. of the first board"),
        },
        "M1b": {
            "shape, rate 0.3": Sizing(0.3853, 0.09, 16, "the first board; s.d. of the first board"),
            "shape, rate 1": Sizing(1.0225, 0.69, 16, "the first board; s.d. of the first board"),
        },
        "M2a": {
            "": Sizing(0.2, 0.07, 16, "the first board; assumed s.d."),
        },
        "M2b": {
            "": Sizing(0.15, 0.07, 16, "the first board; assumed s.d."),
        },
        "M2c": {
            "": Sizing(0.2, 0.07, 16, "the first board; assumed s.d."),
        },
        "M2d": {
            "": Sizing(0.15, 0.07, 16, "the first board; assumed s.d."),
        },
        "M3a": {
            "what there is to keep": Sizing(
                2.0, 0.32, 20, "assumed effect; s.d. of the tuning runs"
            ),
            "kept beyond one half": Sizing(
                1.0,
                0.46,
                20,
                "Santurkar et al. 2018: all of an assumed 2 pp is kept; s.d. of the tuning runs",
            ),
        },
        "M3b": {
            "what there is to keep": Sizing(
                2.0, 0.46, 20, "assumed effect; s.d. of the tuning runs"
            ),
            "kept beyond one half": Sizing(
                1.0,
                0.65,
                20,
                "Santurkar et al. 2018: all of an assumed 2 pp is kept; s.d. of the tuning runs",
            ),
        },
        "M4a": {
            "": Sizing(
                0.6419, 0.23, 24, "the first board on Fashion-MNIST; s.d. of the first board"
            ),
        },
        "M4b": {
            "": Sizing(-0.7765, 0.43, 24, "the first board; s.d. of the first board"),
        },
        "M5a": {
            "": Sizing(
                0.0, 0.44, 32, "Santurkar et al. 2018, section 3.3; s.d. of the tuning runs"
            ),
        },
        "M5b": {
            "": Sizing(
                0.0, 0.77, 32, "Santurkar et al. 2018, section 3.3; s.d. of the tuning runs"
            ),
        },
        "M5c": {
            "": Sizing(
                0.0, 0.61, 32, "Santurkar et al. 2018, section 3.3; s.d. of the tuning runs"
            ),
        },
        "M5d": {
            "": Sizing(
                -0.4, 0.66, 32, "Wu & He 2018: 23.6 to 24.1 % error; s.d. of the tuning runs"
            ),
        },
        "M6a": {
            "": Sizing(1.2112, 0.004, 10, "Yang et al. 2019; assumed s.d."),
        },
        "M6b": {
            "": Sizing(0.235, 0.004, 10, "the first board; s.d. of the first board"),
        },
        "M7": {
            "last hidden layer, rate 0.3": Sizing(
                -0.105, 0.045, 16, "the first board; s.d. of the first board"
            ),
            "last hidden layer, rate 1": Sizing(
                -0.56, 0.06, 16, "the first board; s.d. of the first board"
            ),
        },
        "M9a": {
            "": Sizing(0.7, 0.16, 30, "the first board on Fashion-MNIST; s.d. of the first board"),
        },
        "M9b": {
            "": Sizing(1.2, 0.7, 30, "Hoffer et al. 2017: 89.30 to 90.50 %; assumed s.d."),
        },
        "P1a": {
            "": Sizing(0.0, 0.37, 40, "N2; s.d. of the tuning runs"),
        },
        "P1b": {
            "": Sizing(1.8, 0.5, 40, "the first board on Fashion-MNIST; s.d. of the tuning runs"),
        },
        "P1c": {
            "": Sizing(0.2, 0.9, 40, "the first board on Fashion-MNIST; s.d. of the tuning runs"),
        },
        "P2a": {
            "": Sizing(0.4, 0.62, 30, "caffenet-benchmark: .474 to .478; s.d. of the tuning runs"),
        },
        "P2b": {
            "": Sizing(0.4, 0.13, 30, "caffenet-benchmark: .474 to .478; s.d. of the tuning runs"),
        },
        "P2c": {
            "": Sizing(0.4, 0.19, 30, "caffenet-benchmark: .474 to .478; s.d. of the tuning runs"),
        },
        "P3": {
            "": Sizing(3.4, 1.3, 20, "the first board; s.d. of the tuning runs"),
        },
        "P4": {
            "original": Sizing(10.0, 4.0, 12, PAIR_LOOK),
            "BN after the addition": Sizing(70.0, 5.0, 12, PAIR_LOOK),
            "ReLU before the addition": Sizing(4.4, 2.0, 12, PAIR_LOOK),
            "ReLU-only pre-activation": Sizing(5.0, 2.0, 12, PAIR_LOOK),
        },
        "B1a": {
            "": Sizing(-67.0, 6.1, 40, "the first board; s.d. of the first board"),
        },
        "B1b": {
            "": Sizing(-10.6, 1.5, 30, "Wu & He 2018, at 2; assumed s.d."),
        },
        "B1c": {
            "batch 16": Sizing(0.5, 1.2, 30, "Wu & He 2018, at 16 and 32; s.d. of the tuning runs"),
            "batch 64": Sizing(0.5, 1.4, 30, "Wu & He 2018, at 16 and 32; s.d. of the tuning runs"),
        },
        "B1d": {
            "": Sizing(0.5, 1.0, 30, "Wu & He 2018, at 32; assumed s.d."),
        },
        "B2a": {
            "": Sizing(6.2, 6.3, 40, "Singh & Shrivastava 2019; s.d. of the first board"),
        },
        "B2b": {
            "": Sizing(6.2, 1.0, 30, "Singh & Shrivastava 2019; assumed s.d."),
        },
        "B3": {
            "": Sizing(
                1.2, 0.36, 30, "Hoffer et al. 2017: 89.30 to 90.50 %; s.d. of the tuning runs"
            ),
        },
        "B4a": {
            "": Sizing(2.3, 2.6, 56, "Ioffe 2017: 74.2 to 76.5 %; s.d. of the first board"),
        },
        "B4b": {
            "": Sizing(2.0, 1.4, 50, "Ioffe 2017: 76.5 to 78.5 %; s.d. of the first board"),
        },
        "B5a": {
            "": Sizing(0.4, 0.4, 30, "the first board on Fashion-MNIST; assumed s.d."),
        },
        "B5b": {
            "": Sizing(0.06, 0.22, 30, "the first board; s.d. of the first board"),
        },
        "B5c": {
            "": Sizing(3.0, 2.0, 30, "the first board; assumed s.d."),
        },
        "B6": {
            "": Sizing(26.0, 1.3, 50, "the first board on Fashion-MNIST; s.d. of the first board"),
        },
        "D1": {
            "": Sizing(-12.5, 3.3, 30, "the first board; s.d. of the first board"),
        },
        "D2": {
            "": Sizing(0.77, 0.035, 30, "the first board; s.d. of the first board"),
        },
        "D3a": {
            "": Sizing(-0.25, 0.44, 30, "the first board; s.d. of the first board"),
        },
        "D3b": {
            "": Sizing(-8.4, 1.9, 30, "the first board; s.d. of the first board"),
        },
        "D3d": {
            "": Sizing(-10.4, 1.5, 20, "the first board on Fashion-MNIST; assumed s.d."),
        },
        "D3e": {
            "": Sizing(-8.4, 2.0, 20, "the first board, convolutional; assumed s.d."),
        },
        "D3g": {
            "": Sizing(0.0, 0.034, 30, "the first board; s.d. of the first board"),
        },
        "D4": {
            "": Sizing(
                0.0,
                0.1,
                30,
                "KellerJordan: 67.5 to 79.2 % and 69.7 to 80.5 %; s.d. of the first board",
            ),
        },
        "D6": {
            "": Sizing(-7.4, 1.2, 20, "the first board; s.d. of the first board"),
        },
        "A1a": {
            "": Sizing(0.74, 0.18, 16, f"{FIRST_LOOK} 0 to 3; s.d. of the same"),
        },
        "A1b": {
            "": Sizing(1.0, 0.1, 10, f"{FIRST_LOOK} 0 to 3; assumed s.d."),
        },
        "A2": {
            "gain under SGD": Sizing(24.7, 4.2, 12, f"{FIRST_LOOK} 0 to 4; s.d. of the same"),
            "gain under Adam beyond half of that": Sizing(
                -7.7, 2.2, 12, f"{FIRST_LOOK} 0 to 4; s.d. of the same"
            ),
        },
        "A5a": {"": Sizing(2.7, 2.0, 14, f"{FIRST_LOOK} 0 to 3; assumed s.d.")},
        "A5b": {"": Sizing(4.3, 2.5, 14, f"{FIRST_LOOK} 0 to 3; assumed s.d.")},
        "A3": {
            "decay 0.01": Sizing(
                0.0, 0.4, 24, "van Laarhoven 2017: no effect of its own; assumed s.d."
            ),
            "decay 0.001": Sizing(
                0.0, 0.3, 24, "van Laarhoven 2017: no effect of its own; assumed s.d."
            ),
            "effective rate, decay 0.01": Sizing(
                3.0, 0.2, 24, f"{FIRST_LOOK} 0 to 3; assumed s.d."
            ),
        },
        "A6a": {
            "": Sizing(-0.35, 0.06, 12, f"{FIRST_LOOK} 0 to 4; assumed s.d."),
        },
        "A6b": {
            "": Sizing(0.1, 0.4, 12, f"{FIRST_LOOK} 0 to 4; assumed s.d."),
        },
        "A7a": {
            "": Sizing(-0.06, 0.4, 30, f"{FIRST_LOOK} 0 to 9; assumed s.d."),
        },
        "A7b": {
            "": Sizing(0.94, 1.0, 30, "the tuning runs; s.d. of the tuning runs"),
        },
        "A7c": {
            "": Sizing(10.2, 5.9, 30, "the tuning runs; s.d. of the tuning runs"),
        },
        "A8": {"": Sizing(-10.6, 4.0, 14, f"{FIRST_LOOK} 0 to 3; assumed s.d.")},
        "A11a": {"": Sizing(-0.6, 1.5, 16, f"{FIRST_LOOK} 0 to 3; more than the s.d. of the same")},
        "A12a": {
            "without a norm, 100 layers": Sizing(
                10.0, 0.5, 20, "a first look at a tuning seed; assumed s.d."
            ),
            "with BN, 100 layers": Sizing(
                93.0, 2.0, 20, "a first look at a tuning seed; assumed s.d."
            ),
        },
        "A12b": {
            "": Sizing(92.0, 2.0, 20, "a first look at a tuning seed; assumed s.d."),
        },
        "A12c": {
            "": Sizing(92.0, 2.0, 20, "a first look at a tuning seed; assumed s.d."),
        },
        "A12d": {
            "": Sizing(-0.4, 1.2, 20, "De & Smith 2020: a few tenths behind; assumed s.d."),
        },
        "A12e": {
            "": Sizing(0.0, 1.2, 20, "Zhang et al. 2019: equally well; assumed s.d."),
        },
        "A16a": {
            "every layer minus the first": Sizing(71.0, 3.0, 10, LOOK),
            "every layer minus the last": Sizing(41.0, 8.0, 10, LOOK),
        },
        "A16b": {
            "": Sizing(9.0, 2.0, 10, LOOK),
        },
        "A16c": {
            "what there is to win": Sizing(4.9, 1.5, 14, LOOK),
            "won back beyond one half": Sizing(2.2, 1.0, 14, LOOK),
        },
        "A17": {
            "good start without BN minus careless start with BN": Sizing(3.4, 1.2, 14, LOOK),
            "careless start, BN minus none": Sizing(3.0, 1.5, 14, LOOK),
        },
        "A13": {
            "sigmoids, layer 3 over 1": Sizing(
                3.7, 0.4, 16, f"{FIRST_LOOK} 0 to 3; more than the s.d. of the same"
            ),
            "ReLU, layer 10 over 1": Sizing(
                0.87, 0.15, 10, f"{FIRST_LOOK} 0 to 2; more than the s.d. of the same"
            ),
        },
        "A14a": {
            "": Sizing(-2.2, 2.6, 40, f"{FIRST_LOOK} 0 to 7; s.d. of the same, if normal"),
        },
        "A14b": {
            "": Sizing(-0.3, 0.2, 40, f"{FIRST_LOOK} 0 to 7; more than the s.d. of the same"),
        },
        "A15": {
            "ReLU": Sizing(0.8, 0.4, 16, f"{FIRST_LOOK} 0 and 1; assumed s.d."),
            "sigmoids": Sizing(0.9, 0.2, 10, f"{FIRST_LOOK} 0 and 1; assumed s.d."),
        },
        "A18": {
            "ReLU, end over start": Sizing(
                -0.24, 0.05, 12, f"{FIRST_LOOK} 0 to 3; more than the s.d. of the same"
            ),
            "ReLU, learned over 1 and 0": Sizing(
                -0.015, 0.045, 12, f"{FIRST_LOOK} 0 to 3; more than the s.d. of the same"
            ),
        },
        "A19a": {
            "": Sizing(-0.72, 0.1, 14, f"{FIRST_LOOK} 0 to 3; assumed s.d."),
        },
        "A19b": {
            "": Sizing(-0.08, 0.06, 14, f"{FIRST_LOOK} 0 to 2; s.d. of the same"),
        },
    },
    "fashion_mnist": {
        "C1a": {
            "": Sizing(4.5, 1.5, 20, "Ioffe & Szegedy 2015, figure 1a; assumed s.d."),
        },
        "C1b": {
            "": Sizing(0.9, 0.6, 20, "Ioffe & Szegedy 2015, figure 1a; assumed s.d."),
        },
        "C2a": {
            "": Sizing(5.2, 1.5, 20, "Ioffe & Szegedy 2015, figure 2; assumed s.d."),
        },
        "C2b": {
            "": Sizing(5.2, 2.5, 20, "Ioffe & Szegedy 2015, figure 2; assumed s.d."),
        },
        "C3a": {
            "": Sizing(0.95, 0.5, 20, "Ioffe & Szegedy 2015, section 4.2.2; a share needs no s.d."),
        },
        "C3b": {
            "": Sizing(0.95, 0.5, 20, "Ioffe & Szegedy 2015, section 4.2.2; a share needs no s.d."),
        },
        "C3c": {
            "": Sizing(0.8, 0.6, 20, "Ioffe & Szegedy 2015, figure 2; assumed s.d."),
        },
        "C3d": {
            "": Sizing(4.4, 1.0, 20, "Ioffe & Szegedy 2015, figure 2; assumed s.d."),
        },
        "C3e": {
            "": Sizing(1.8, 0.33, 20, "Ioffe & Szegedy 2015, figure 2; s.d. of the first board"),
        },
        "C3f": {
            "": Sizing(1.5, 0.25, 20, "the first board; s.d. of the first board"),
        },
        "C4": {
            "without BN, 20 layers": Sizing(
                10.0, 0.5, 20, "the first board; s.d. of the first board"
            ),
            "with BN, 20 layers": Sizing(83.4, 0.9, 20, "the first board; s.d. of the first board"),
            "without BN, 20 layers, 3 times as long": Sizing(
                10.0, 0.5, 20, "the first board; s.d. of the first board"
            ),
            "without BN, 20 layers, weights for sigmoids": Sizing(
                10.0, 0.5, 20, "the first board; s.d. of the first board"
            ),
        },
        "C5": {
            "": Sizing(1.0, 0.25, 20, "the first board; assumed s.d."),
        },
        "C6a": {
            "": Sizing(0.6, 0.5, 40, "the first board; assumed s.d."),
        },
        "C6b": {
            "": Sizing(0.1, 0.6, 40, "the first board; assumed s.d."),
        },
        "C7a": {
            "": Sizing(2.3, 0.26, 10, "the first board; s.d. of the first board"),
        },
        "C7b": {
            "": Sizing(4.3, 0.25, 10, "the first board; s.d. of the first board"),
        },
        "C7c": {
            "": Sizing(
                0.0,
                0.4,
                24,
                "van Laarhoven 2017: decay only sets the effective rate; assumed s.d.",
            ),
        },
        "C7d": {
            "": Sizing(-4.3, 0.2, 10, "the first board; s.d. of the first board"),
        },
        "C8a": {
            "": Sizing(2.9, 0.8, 24, "caffenet-benchmark: .470 to .499; assumed s.d."),
        },
        "C8b": {
            "": Sizing(0.0, 0.8, 24, "caffenet-benchmark: LRN adds nothing; assumed s.d."),
        },
        "C9": {
            "": Sizing(
                1.0, 1.3, 76, "Ioffe & Szegedy 2015, section 4.2.1; s.d. of the first board"
            ),
        },
        "M1a": {
            "": Sizing(-2.1628, 0.28, 28, "the first board; s.d. of the first board"),
        },
        "M1b": {
            "shape, rate 0.3": Sizing(
                -0.1278, 0.03, 28, "the first board; s.d. of the first board"
            ),
            "shape, rate 1": Sizing(0.3646, 0.69, 28, "the first board; s.d. of the first board"),
        },
        "M2a": {
            "": Sizing(-0.038, 0.007, 40, "the first board; s.d. of the first board"),
        },
        "M2b": {
            "": Sizing(0.005, 0.0025, 40, "the first board; s.d. of the first board"),
        },
        "M2c": {
            "": Sizing(0.05, 0.061, 40, "the first board; s.d. of the first board"),
        },
        "M2d": {
            "": Sizing(0.016, 0.006, 40, "the first board; s.d. of the first board"),
        },
        "M3a": {
            "what there is to keep": Sizing(2.0, 0.8, 20, "assumed effect; assumed s.d."),
            "kept beyond one half": Sizing(
                1.0,
                0.8,
                20,
                "Santurkar et al. 2018: all of an assumed 2 pp is kept; assumed s.d.",
            ),
        },
        "M3b": {
            "what there is to keep": Sizing(2.0, 0.8, 20, "assumed effect; assumed s.d."),
            "kept beyond one half": Sizing(
                1.0,
                0.8,
                20,
                "Santurkar et al. 2018: all of an assumed 2 pp is kept; assumed s.d.",
            ),
        },
        "M4a": {
            "": Sizing(0.6366, 0.12, 20, "the first board; s.d. of the first board"),
        },
        "M4b": {
            "": Sizing(-0.5108, 0.12, 20, "the first board; s.d. of the first board"),
        },
        "M5a": {
            "": Sizing(0.0, 0.5, 36, "Santurkar et al. 2018, section 3.3; assumed s.d."),
        },
        "M5b": {
            "": Sizing(0.0, 0.4, 36, "Santurkar et al. 2018, section 3.3; assumed s.d."),
        },
        "M5c": {
            "": Sizing(0.0, 0.7, 36, "Santurkar et al. 2018, section 3.3; assumed s.d."),
        },
        "M5d": {
            "": Sizing(-0.4, 0.7, 36, "Wu & He 2018: 23.6 to 24.1 % error; assumed s.d."),
        },
        "M6a": {
            "": Sizing(1.2112, 0.004, 10, "Yang et al. 2019; assumed s.d."),
        },
        "M6b": {
            "": Sizing(0.234, 0.004, 10, "the first board; s.d. of the first board"),
        },
        "M7": {
            "last hidden layer, rate 0.3": Sizing(
                -0.27, 0.017, 28, "the first board; s.d. of the first board"
            ),
            "last hidden layer, rate 1": Sizing(
                -0.375, 0.06, 28, "the first board; s.d. of the first board"
            ),
        },
        "M9a": {
            "": Sizing(0.7, 0.11, 24, "the first board; s.d. of the first board"),
        },
        "M9b": {
            "": Sizing(1.2, 0.6, 24, "Hoffer et al. 2017: 89.30 to 90.50 %; assumed s.d."),
        },
        "P1a": {
            "": Sizing(0.0, 0.45, 28, "N2; assumed s.d."),
        },
        "P1b": {
            "": Sizing(1.8, 0.8, 28, "the first board; assumed s.d."),
        },
        "P1c": {
            "": Sizing(0.16, 0.55, 28, "the first board; assumed s.d."),
        },
        "P2a": {
            "": Sizing(0.4, 0.3, 28, "caffenet-benchmark: .474 to .478; assumed s.d."),
        },
        "P2b": {
            "": Sizing(-0.2, 1.0, 28, "the first board; assumed s.d."),
        },
        "P2c": {
            "": Sizing(-0.2, 1.0, 28, "the first board, three layers; assumed s.d."),
        },
        "P3": {
            "": Sizing(3.4, 0.7, 20, "the first board on digits; assumed s.d."),
        },
        "P4": {
            "original": Sizing(10.0, 3.0, 10, PAIR_LOOK),
            "BN after the addition": Sizing(60.0, 5.0, 10, PAIR_LOOK),
            "ReLU before the addition": Sizing(6.6, 2.0, 10, PAIR_LOOK),
            "ReLU-only pre-activation": Sizing(7.5, 2.0, 10, PAIR_LOOK),
        },
        "B1a": {
            "": Sizing(-49.0, 4.9, 28, "the first board; s.d. of the first board"),
        },
        "B1b": {
            "": Sizing(-10.6, 1.0, 12, "Wu & He 2018, at 2; s.d. of the first board"),
        },
        "B1c": {
            "": Sizing(0.5, 1.4, 28, "Wu & He 2018, at 16 and 32; s.d. of the first board"),
        },
        "B1d": {
            "": Sizing(0.5, 0.5, 28, "Wu & He 2018, at 32; s.d. of the first board"),
        },
        "B2a": {
            "": Sizing(6.2, 5.2, 28, "Singh & Shrivastava 2019; s.d. of the first board"),
        },
        "B2b": {
            "": Sizing(6.2, 0.3, 12, "Singh & Shrivastava 2019; s.d. of the first board"),
        },
        "B3": {
            "": Sizing(1.2, 0.45, 24, "Hoffer et al. 2017: 89.30 to 90.50 %; assumed s.d."),
        },
        "B4a": {
            "": Sizing(2.3, 1.8, 28, "Ioffe 2017: 74.2 to 76.5 %; assumed s.d."),
        },
        "B4b": {
            "": Sizing(14.4, 5.0, 20, "the first board; assumed s.d."),
        },
        "B5a": {
            "": Sizing(0.4, 0.4, 24, "the first board; assumed s.d."),
        },
        "B5b": {
            "": Sizing(0.1, 0.17, 24, "the first board; s.d. of the first board"),
        },
        "B5c": {
            "": Sizing(2.8, 1.1, 24, "the first board; s.d. of the first board"),
        },
        "B6": {
            "": Sizing(26.0, 5.0, 20, "the first board; assumed s.d."),
        },
        "D1": {
            "": Sizing(-3.7, 2.1, 28, "the first board; s.d. of the first board"),
        },
        "D2": {
            "": Sizing(0.53, 0.09, 28, "the first board; s.d. of the first board"),
        },
        "D3a": {
            "": Sizing(-0.2, 0.16, 12, "the first board; s.d. of the first board"),
        },
        "D3b": {
            "": Sizing(-2.6, 0.46, 12, "the first board; s.d. of the first board"),
        },
        "D3c": {
            "": Sizing(-2.6, 0.5, 12, "the first board, batches of 8; assumed s.d."),
        },
        "D3d": {
            "": Sizing(-10.4, 0.51, 20, "the first board; s.d. of the first board"),
        },
        "D3e": {
            "": Sizing(-10.0, 1.0, 20, "the first board; assumed s.d."),
        },
        "D3f": {
            "": Sizing(-10.0, 1.0, 20, "the first board; assumed s.d."),
        },
        "D3g": {
            "": Sizing(-0.12, 0.012, 28, "the first board; s.d. of the first board"),
        },
        "D4": {
            "": Sizing(
                0.0,
                0.1,
                28,
                "KellerJordan: 67.5 to 79.2 % and 69.7 to 80.5 %; s.d. of the first board",
            ),
        },
        "D6": {
            "": Sizing(-10.4, 1.95, 20, "the first board; s.d. of the first board"),
        },
        "A1a": {
            "": Sizing(0.74, 0.18, 16, "the first look on digits; assumed s.d."),
        },
        "A1b": {
            "": Sizing(1.0, 0.1, 10, "the first look on digits; assumed s.d."),
        },
        "A2": {
            "gain under SGD": Sizing(8.0, 4.0, 12, "a third of that on digits; assumed s.d."),
            "gain under Adam beyond half of that": Sizing(
                -3.0, 1.5, 12, "two fifths of that on digits; assumed s.d."
            ),
        },
        "A5a": {"": Sizing(-3.7, 2.0, 14, f"{FIRST_LOOK} 0 to 3; assumed s.d.")},
        "A5b": {"": Sizing(-3.2, 2.0, 14, f"{FIRST_LOOK} 0 to 3; assumed s.d.")},
        "A3": {
            "decay 0.01": Sizing(-0.19, 0.2, 16, f"{FIRST_LOOK} 0 to 3; s.d. of the same"),
            "decay 0.001": Sizing(-0.1, 0.2, 16, f"{FIRST_LOOK} 0 to 3; assumed s.d."),
            "effective rate, decay 0.01": Sizing(
                3.8, 0.2, 16, f"{FIRST_LOOK} 0 to 3; assumed s.d."
            ),
        },
        "A6a": {
            "": Sizing(-0.35, 0.06, 12, "the first look on digits; assumed s.d."),
        },
        "A6b": {
            "": Sizing(0.1, 0.4, 12, "the first look on digits; assumed s.d."),
        },
        "A7a": {
            "": Sizing(0.4, 0.3, 12, f"{FIRST_LOOK} 0 to 4; s.d. of the same"),
        },
        "A7b": {
            "": Sizing(10.8, 11.5, 32, f"{FIRST_LOOK} 0 to 4; s.d. of the same"),
        },
        "A7c": {
            "": Sizing(10.9, 10.5, 32, f"{FIRST_LOOK} 0 to 4; s.d. of the same"),
        },
        "A8": {"": Sizing(-5.9, 2.5, 14, f"{FIRST_LOOK} 0 to 3; assumed s.d.")},
        "A11a": {"": Sizing(9.0, 8.0, 18, f"{FIRST_LOOK} 0 to 2; assumed s.d.")},
        "A11b": {
            "what there is to win": Sizing(
                15.0, 8.0, 18, f"{FIRST_LOOK} 0 to 2; more than the s.d. of the same"
            ),
            "won back beyond one half": Sizing(
                2.9, 2.5, 18, f"{FIRST_LOOK} 0 to 2; more than the s.d. of the same"
            ),
        },
        "A12a": {
            "without a norm, 100 layers": Sizing(
                10.0, 0.5, 20, "a first look at a tuning seed; assumed s.d."
            ),
            "with BN, 100 layers": Sizing(84.0, 2.0, 20, "assumed effect; assumed s.d."),
        },
        "A12b": {
            "": Sizing(84.0, 2.0, 20, "assumed effect; assumed s.d."),
        },
        "A12c": {
            "": Sizing(84.0, 2.0, 20, "assumed effect; assumed s.d."),
        },
        "A12d": {
            "": Sizing(-0.4, 1.0, 20, "De & Smith 2020: a few tenths behind; assumed s.d."),
        },
        "A12e": {
            "": Sizing(0.0, 1.0, 20, "Zhang et al. 2019: equally well; assumed s.d."),
        },
        "A16a": {
            "every layer minus the first": Sizing(
                64.0, 3.0, 10, "as on digits: at chance; assumed s.d."
            ),
            "every layer minus the last": Sizing(25.0, 6.0, 10, LOOK),
        },
        "A16b": {
            "": Sizing(6.1, 1.5, 10, LOOK),
        },
        "A16c": {
            "what there is to win": Sizing(4.9, 1.5, 14, "the first look on digits; assumed s.d."),
            "won back beyond one half": Sizing(
                2.2, 1.0, 14, "the first look on digits; assumed s.d."
            ),
        },
        "A17": {
            "good start without BN minus careless start with BN": Sizing(
                3.4, 1.2, 14, "the first look on digits; assumed s.d."
            ),
            "careless start, BN minus none": Sizing(12.0, 3.0, 14, LOOK),
        },
        "A13": {
            "sigmoids, layer 3 over 1": Sizing(
                1.5, 0.6, 28, "less than half the logarithm on digits; assumed s.d."
            ),
            "ReLU, layer 10 over 1": Sizing(
                0.87, 0.15, 10, "the first look on digits; assumed s.d."
            ),
        },
        "A14a": {
            "": Sizing(
                -0.18, 0.2, 40, "three quarters of an assumed spread, as on digits; assumed s.d."
            ),
        },
        "A14b": {
            "": Sizing(-0.08, 0.07, 40, f"{FIRST_LOOK} 0 and 1; more than the s.d. of the same"),
        },
        "A15": {
            "ReLU": Sizing(0.8, 0.45, 16, "the first look on digits; assumed s.d."),
            "sigmoids": Sizing(0.9, 0.2, 10, "the first look on digits; assumed s.d."),
        },
        "A18": {
            "ReLU, end over start": Sizing(
                -0.24, 0.06, 12, "the first look on digits; assumed s.d."
            ),
            "ReLU, learned over 1 and 0": Sizing(
                -0.015, 0.045, 12, "the first look on digits; assumed s.d."
            ),
        },
        "A10": {
            "": Sizing(-0.64, 0.3, 10, f"{FIRST_LOOK} 0 and 1; assumed s.d."),
        },
        "A19a": {
            "": Sizing(-0.67, 0.1, 14, f"{FIRST_LOOK} 0 to 3; assumed s.d."),
        },
        "A19b": {
            "": Sizing(0.0, 0.1, 14, f"{FIRST_LOOK} 0 and 1; assumed s.d."),
        },
    },
}
