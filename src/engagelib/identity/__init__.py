"""Identity: which (namespace, id) pairs are one customer, so that all channels share one history."""

from engagelib.identity.mapping import IdentityMap
from engagelib.identity.spelling import Identity, encode_namespaces, spell_pairs, spelled, unify

__all__ = ["Identity", "IdentityMap", "encode_namespaces", "spell_pairs", "spelled", "unify"]
