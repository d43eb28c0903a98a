"""What processes find that a program run on Ember starts afresh: their ``torch`` is Ember too."""

import sys

import ember

del sys.modules["torch"]
ember.as_torch()  # after which the import that led here gives Ember
