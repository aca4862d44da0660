"""Does it work? People with several photos each, every method on the same ones, the same judges.

`people` says who, `methods` what is done to them, `judging` what is measured on one picture,
`measure` does all of it to one person, whose numbers `results` keeps; `evaluate` goes from person to
person and can be interrupted, `summary` makes the numbers of the table, `recorded` says which of them
a run is held to and which way each is better, `figures` draws them, `command` does everything in one
call.
"""
