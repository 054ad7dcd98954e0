import re

from quantumedge.settings_table import SETTINGS_FILE, TABLE_FILE, read_knobs, table

SOURCE = """
# -- Here

# How many. Of what,
# and why.
MANY = env.int("MANY", default=3)
MORE = env.float("MORE", default=MANY / 2)

# -- There

# Names.
NAMES = {
    "a": env.list("A_NAMES", default=["x", "y"]),
    # Only b.
    "b": env.str("B_NAME", default=""),
}
AGAIN = env.str("B_NAME", default="other")
"""


def test_knobs_are_read_with_the_comment_above_them() -> None:
    sections = read_knobs(SOURCE)
    here, there = sections["Here"], sections["There"]
    assert [knob.name for knob in here] == ["MANY", "MORE"]
    assert here[0].meaning == here[1].meaning == "How many. Of what, and why."
    assert (here[0].kind, here[0].default, here[1].default) == ("whole number", "`3`", "")
    assert [(knob.name, knob.default, knob.meaning) for knob in there] == [
        ("A_NAMES", "`x,y`", "Names."),
        ("B_NAME", "unset", "Only b."),
    ]


def test_every_variable_of_the_settings_is_in_the_table_and_explained() -> None:
    source = SETTINGS_FILE.read_text()
    knobs = [knob for section in read_knobs(source).values() for knob in section]
    assert {knob.name for knob in knobs} == set(re.findall(r"env\.\w+\(\s*\"([A-Z_]+)\"", source))
    assert not [knob.name for knob in knobs if not knob.meaning]


def test_the_table_in_the_documents_is_the_one_that_the_settings_give() -> None:
    assert TABLE_FILE.read_text() == table(read_knobs(SETTINGS_FILE.read_text())), (
        "run manage.py export_settings"
    )
