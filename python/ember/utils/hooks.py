"""The handle that registering a hook returns."""

from ember.nn.modules.hooks import RemovableHandle

__all__ = ["RemovableHandle"]
