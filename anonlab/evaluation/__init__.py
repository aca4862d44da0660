"""Does it work? People with several photos each, every method on the same ones, the same judges.

`people` says who, `methods` what is done to them, `judging` what is measured on one picture,
`run` does it person by person and can be interrupted, `summary` makes the numbers of the table,
`figures` draws them.
"""
