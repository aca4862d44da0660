"""What is measured: one documented function a number, grouped by the question it answers.

`privacy` asks which people are still found, `faithfulness` whether a map shows the identity, `intervals`
how sure a number is.
"""
