"""The demo: a pixel classifier on a photograph, trained by the losses' own gradients."""


class DemoError(Exception):
    """Something that the user can put right, in one sentence."""
