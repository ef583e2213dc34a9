"""What holds for all tests."""

from hypothesis import settings

# A busy machine is no error: the first example of a test may come while a library is loaded.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
