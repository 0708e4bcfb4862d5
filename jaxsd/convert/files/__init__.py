"""Bytes in files as lazy tensors by name, and back. Nothing here knows of models."""
