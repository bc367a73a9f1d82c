"""Files that were made to deceive: refused, or as harmless as any other.

By default they are few and always the same; `SKNODE_FUZZ=2000` asks for so many new ones.
"""

import os
import secrets
import sys
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.faults import CONTEXT
from tests.forgery import ESTIMATORS, outcomes, room_to_load

N_FILES = int(os.environ.get("SKNODE_FUZZ", "60"))
SEED = secrets.randbelow(2**32) if "SKNODE_FUZZ" in os.environ else 0
MOST_SECONDS, MOST_MEGABYTES = 1.0, 200.0
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is measured by /proc")


@pytest.fixture(scope="module")
def elsewhere():
    """A process of their own, whose memory is nobody else's."""
    with ProcessPoolExecutor(1, mp_context=CONTEXT) as pool:
        yield pool


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("kind", ["model", "checkpoint"])
def test_a_forged_file_is_refused_or_harmless_and_costs_little(elsewhere, kind, name):
    numbers = range(-(-N_FILES // (2 * len(ESTIMATORS))))
    sound, *found = elsewhere.submit(outcomes, kind, name, SEED, numbers).result()
    assert not sound.refused
    assert sound.fault is None
    faults = [each for each in found if each.fault is not None]
    dear = [e for e in found if e.seconds > MOST_SECONDS or e.megabytes > MOST_MEGABYTES]
    assert not faults, f"seed {SEED}: {faults[:3]}"
    assert not dear, f"seed {SEED}: {dear[:3]}"
    n_refused = sum(each.refused for each in found)
    worst = max(e.seconds for e in found), max(e.megabytes for e in found)
    print(
        f"{kind} {name}: {n_refused} of {len(found)} refused; at most {worst[0]:.2f} s and "
        f"{worst[1]:.0f} MB"
    )


def test_loading_takes_little_more_memory_than_twice_the_file(elsewhere):
    size, peak = elsewhere.submit(room_to_load).result()
    assert size > 30
    assert peak < 2.2 * size
