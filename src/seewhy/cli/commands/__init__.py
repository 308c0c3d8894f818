"""The commands. Each module has `describe(parser, arguments)`, which adds its options, and `run(options) -> int`."""
