"""The trade-off between quality and time for layers that are float by choice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clearport.base import Prefer

SLOWER = 4.0
"""Time of a float layer relative to int8: 3.5 on a CPU (README, LiteRT), more if an NPU falls back to a CPU."""


@dataclass(frozen=True)
class Terms:
    """Losses and gains, all in dB against ground truth.

    Attributes:
        bearable_db: up to this loss a network is all int8.
        bad_db: above this loss single layers are tried, too.
        worth_db: the minimum gain of any float region, however small, for the conversions at its boundaries.
        layer_worth_db: the minimum gain of each single layer: several together pay for their conversions.
        doubling_db: the gain that pays for twice the time.
        rounds: the maximum number of single layers made float one after another.
    """

    bearable_db: float
    bad_db: float
    worth_db: float = 0.02
    layer_worth_db: float = 0.005
    doubling_db: float = 0.15
    rounds: int = 8

    def price_db(self, share: float) -> float:
        """The minimum gain of a float region, by its share of the multiply-accumulates.

        With it the network takes ``1 + (SLOWER - 1) * share`` times as long. Balanced: 0.02 dB for a share of 0, 0.08
        for 0.1, 0.20 for 0.5.
        """
        return self.worth_db + self.doubling_db * math.log2(1 + (SLOWER - 1) * share)


TERMS: Mapping[Prefer, Terms] = {
    "balanced": Terms(bearable_db=0.10, bad_db=0.19),
    "quality": Terms(0.02, 0.03, worth_db=0.004, layer_worth_db=0.001, doubling_db=0.03, rounds=16),
    "speed": Terms(math.inf, math.inf),
}
"""Terms by the user's preference (``--prefer``).

``balanced``: bearable is, for super resolution, 47.3 dB to the float network. Twice the compute gains 0.15 dB in this
zoo (IMDN is 0.15 dB above RLFN x4 on Set5, 0.10 on Set14). Networks should lose at most 0.3 dB, and the loss of super
resolution on test sets was up to 1.53 times the simulated one (RLFN; RFDN 1.37, BSRN 1.06), hence ``bad_db``. This does
not bound other data: IAT lost 0.28 dB on SICE and 0.06 simulated. ``quality``: a fifth of the loss, and of the price of
time. ``speed``: nothing is float by choice, so that int8-only NPUs run the whole network.
"""
