"""Judges that guide nothing: named estimators of what stays of a person, and two recognisers.

`mesh` reads geometry, gaze and light, `worn` glasses, facial hair and hats, `reading` asks all of them
about aligned pictures. Their files come from `metrics.packages`.
"""
