"""The constants by which both engines choose step sizes."""

__all__ = ["GRAIN", "LARGEST_FACTOR", "LEAST_FACTOR", "SAFETY"]

# The usual constants of an elementary controller: Hairer, Nørsett, Wanner, Solving ODEs I,
# section II.4.
SAFETY = 0.9
LEAST_FACTOR = 0.1875
LARGEST_FACTOR = 10.0
# A matrix product rounds a row differently in another batch. Step sizes are cut to a few bits, so
# that this noise of 1e-16 is not multiplied by the controller and handed on from step to step.
GRAIN = 1 / 64
