"""What all tests share: examples are judged by their answer, not by how long a busy machine takes for it."""

from hypothesis import settings

settings.register_profile("engagelib", deadline=None)
settings.load_profile("engagelib")
