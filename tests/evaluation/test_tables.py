"""Pages made from the judged numbers."""

from pathlib import Path

import pytest
from pages import BEGIN, END, marked

from anonlab.errors import InputDamaged


def test_a_page_keeps_its_text_and_takes_the_table_once():
    page = f"above\n\n{BEGIN}\n\nold\n\n{END}\n\nbelow\n"
    made = marked(page, "| new |", Path("README.md"))
    assert made == f"above\n\n{BEGIN}\n\n| new |\n\n{END}\n\nbelow\n"
    assert marked(made, "| new |", Path("README.md")) == made
    with pytest.raises(InputDamaged, match="lacks the marks"):
        marked("above", "| new |", Path("README.md"))
