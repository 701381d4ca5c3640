"""Testing: what every model has to keep to, as tests to inherit, and small logs to test with."""

from engagelib.testing._contract import ModelContract
from engagelib.testing._logs import histories_of, log_of, random_log

__all__ = ["ModelContract", "histories_of", "log_of", "random_log"]
