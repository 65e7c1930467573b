"""The one source of chance in this package: seeded by the system, and anew by a simulation that is to be repeated."""

import random

rng = random.Random()  # noqa: S311 - for delays, not for secrets
