"""Add what simulators need: masses, convex colliders, and surfaces that things stand on."""
