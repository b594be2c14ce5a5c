"""A package, so that tests and benchmarks can import `tests.drivers`."""
