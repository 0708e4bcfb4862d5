"""Layers that the networks share, named after diffusers' so that trees convert by table."""
