"""What holds for all tests. Machines are shared and slow at times: a property does not fail for the clock."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
