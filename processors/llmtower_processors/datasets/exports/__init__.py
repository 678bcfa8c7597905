"""Rows of a dataset in the forms that trainers read, each line checked before it is written."""
