"""Recording what a program runs and how long it takes."""

from .profiler import *
from .profiler import __all__ as __all__
