"""The folders of diffusers and transformers: names of tensors, and settings in JSON."""
