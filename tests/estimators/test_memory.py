"""What a prediction of many rows takes of memory beyond its input."""

import subprocess
import sys

import pytest

PREDICT = """
import re
from pathlib import Path
import numpy as np
import sknode

def megabytes(what):
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{{what}}:\\s+(\\d+) kB", status)[1]) / 1024

rng = np.random.default_rng(0)
X, y = rng.normal(size=({n_rows}, 20)), rng.integers(3, size=300)
model = sknode.{estimator}(max_epochs=1, random_state=0, **{settings}).fit(X[:300], y)
further = {further}
model.{method}(X[:100], *further)
Path("/proc/self/clear_refs").write_text("5")
before = megabytes("VmRSS")
result = model.{method}(X, *further)
print(megabytes("VmHWM") - before - result.nbytes / 2**20)
"""
TABLE, IMAGES, TIMES = 150_000, 20_000, "[np.linspace(0, 1, 11)]"
CASES = {
    "classes": ("NODEClassifier", "predict", TABLE, {}, "()"),
    "probabilities": ("NODEClassifier", "predict_proba", TABLE, {}, "()"),
    "the states of a member": ("NODEClassifier", "trajectory", 10_000, {}, TIMES),
    "numbers": ("NODERegressor", "predict", TABLE, {}, "()"),
    "residual blocks": ("ResNetRegressor", "predict", TABLE, {}, "()"),
    "images": ("NODEImageClassifier", "predict", IMAGES, {"image_shape": (4, 5)}, "()"),
    "blocks of images": ("ResNetImageClassifier", "predict", IMAGES, {"image_shape": (4, 5)}, "()"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", CASES)
def test_the_memory_of_a_prediction_does_not_grow_with_its_rows(name):
    estimator, method, n_rows, settings, further = CASES[name]
    code = PREDICT.format(
        estimator=estimator, method=method, n_rows=n_rows, settings=settings, further=further
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # Where every part's results were kept, it was 470 MB for the classes.
    assert float(run.stdout) < 150
