"""Pages made from the judged numbers."""

from pathlib import Path

import pytest
from pages import BEGIN, END, marked

from anonlab.errors import InputDamaged
from anonlab.evaluation.tables import kept_table, number


def test_a_page_keeps_its_text_and_takes_the_table_once():
    page = f"above\n\n{BEGIN}\n\nold\n\n{END}\n\nbelow\n"
    made = marked(page, "| new |", Path("README.md"))
    assert made == f"above\n\n{BEGIN}\n\n| new |\n\n{END}\n\nbelow\n"
    assert marked(made, "| new |", Path("README.md")) == made
    with pytest.raises(InputDamaged, match="lacks the marks"):
        marked("above", "| new |", Path("README.md"))


def test_shares_are_in_per_cent_and_what_no_person_was_asked_is_a_dash():
    assert number("gender_kept", 0.876) == "88%"
    assert number("gaze_error", 10.234) == "10.23"
    assert number("glasses_kept", None) == "–"


def test_what_stays_stands_between_its_floor_and_another_photo():
    def measured(value):
        return {"gaze_error": {"people": 9, "value": value, "interval": [value - 1, value + 1]}}

    found = {"kept": {"unchanged": measured(3), "result": measured(10), "another photo": measured(12)}}
    row = kept_table(found).splitlines()[2]
    assert row == "| gaze_error | 3.00 | **10.00** (9.00 to 11.00) | 12.00 |"
