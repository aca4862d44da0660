"""Does it work? People with two photos each, by judges that took no part.

`people` says whose photos, `pictures` makes and keeps what is judged, `judges` are the estimators and
recognisers that guide nothing; `judged` is everything about one data set, `found` its part about
privacy, `tables` the pages made of it (`evaluate --judged`).

All methods and the controls on the same photos (`evaluate`, notebook 05): `methods` says what is done,
`peers` what else hides a face, `judging` what is measured on one picture, `measure` does all of it to
one person, `evaluate` goes from person to person and can be interrupted, `summary` makes the numbers,
`recorded` says which of them a run is held to, `figures` and `tradeoff` draw them, `attackers` know the
method, `command` does everything in one call.
"""
