"""The calls of the REST interface: one router a noun."""
