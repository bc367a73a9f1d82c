"""How a network learns: batches, steps, schedules, checkpoints. It knows no estimator.

Nothing of it is public.
"""

__all__: list[str] = []
