"""Passes that decompose rare operators, and tensors of more than four axes, into operators that every target
supports."""
