"""Write a scene: the output folder, its manifest, overlay, turntable and viewer page."""
