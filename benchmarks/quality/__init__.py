"""Quality by published protocols, one module each; see benchmarks/README.md."""
