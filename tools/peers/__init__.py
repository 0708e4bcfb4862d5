"""Workers of `jaxsd bench` for other programs; each runs in an environment without jaxsd."""
