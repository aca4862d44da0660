"""Does it work? People with two photos each, by judges that took no part.

`people` says whose photos, `pictures` makes and keeps what is judged, `peers` are other ways to hide a
face. `judges` are estimators and recognisers that guide nothing; `judging` holds recognisers and picture
similarity. `evaluate` judges every data set by itself, `privacy` says which people are found, `learned`
are attackers that learn. `tables` writes Markdown and what a run is held to, `figures` draws.
"""
