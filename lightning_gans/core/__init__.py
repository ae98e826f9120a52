"""The core of the framework: models, optimization, the EMA, schedules, checkpoints and sampling."""
