"""The contracts of the framework: models, the two-player step, averages, schedules, checkpoints."""
