"""The entrance of random states: an int gives the same numbers everywhere."""

import numpy as np


def check_seed(
    random_state: int | np.random.Generator | np.random.RandomState | None,
) -> list[int]:
    """Return three 64-bit seeds from an int, a NumPy generator or None.

    An int always gives the same seeds; a generator is advanced; None draws fresh entropy.
    """
    if random_state is None or isinstance(random_state, (int, np.integer)):
        if random_state is not None and random_state < 0:
            raise ValueError(f"random_state must be at least 0, got {random_state}.")
        sequence = np.random.SeedSequence(random_state)
    elif isinstance(random_state, np.random.Generator):
        sequence = np.random.SeedSequence(int(random_state.integers(2**63)))
    elif isinstance(random_state, np.random.RandomState):
        sequence = np.random.SeedSequence(int(random_state.randint(2**31 - 1)))
    else:
        raise ValueError(
            "random_state must be an int, a numpy Generator or RandomState, or None, got "
            f"{random_state!r}."
        )
    return [int(word) for word in sequence.generate_state(3, np.uint64)]
