"""The commands. Each module has `describe(parser)`, which adds its options, and `run(options) -> int`."""
