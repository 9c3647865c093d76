"""Recognising what went wrong in the training of a trial, from the curves it reported."""
