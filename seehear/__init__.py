"""seehear finds any picture, sound, moment of a video or passage of text in folders of media."""

__version__ = "0.1.0"
