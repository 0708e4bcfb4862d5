"""A model beside PyTorch: needs the extra [parity], and is imported by `jaxsd parity` alone."""
