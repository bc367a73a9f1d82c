"""How a network learns: batches, steps, schedules, checkpoints. It knows no estimator."""
