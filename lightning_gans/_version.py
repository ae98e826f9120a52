"""The version, in a module without imports, which `--version` and the build read without importing PyTorch."""

__version__ = "0.1.0"
