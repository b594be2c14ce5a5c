"""What simulators need beyond a picture: masses, convex colliders, and what things stand on."""
