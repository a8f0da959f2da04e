"""Train the bundled model `tiny` from shards, and measure it. Not part of the wheel.

    python -m training --data DIR --out DIR        follow the recipe
    python -m training.evaluate --data DIR         measure the result, or the bundled model

See docs/training.md. Needs the dependency group `training`. A user's own pairs are trained on by
`seehear train` (seehear/finetune).
"""
