"""Which calls are judged: some for being uncertain, some by chance, with weights that keep rates unbiased. Logic: pure.

Two strata (W. G. Cochran, Sampling Techniques, 5A.2). The calls nearest to the threshold of a local score are all taken, so each stands
for itself. Of all others a simple random sample is taken, each standing for as many as were there for one that was taken.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quota:
    """How many calls a rubric takes of one span: `certain` for being uncertain, `chance` of the `population - certain` others."""

    certain: int
    chance: int
    population: int

    @property
    def asks(self) -> int:
        """Calls taken."""
        return self.certain + self.chance

    @property
    def weight(self) -> float:
        """For how many calls one stands that was taken by chance."""
        return (self.population - self.certain) / self.chance if self.chance else 0.0


def quota(asks: int, *, population: int, scored: int, random_share: float) -> Quota:
    """Divide asks; where others are left, at least one is taken of them by chance, or the rate would be of the uncertain only."""
    asks = max(0, min(asks, population))
    certain = min(int(asks * (1 - random_share) + 1e-9), scored, max(0, asks - 1))
    if asks == population:
        return Quota(0, asks, population)
    return Quota(certain, asks - certain, population)
