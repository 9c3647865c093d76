import pytest

from tuner.client.files import read_study_file
from tuner.errors import Invalid, NotFound


def test_numbers_and_words_are_those_of_yaml_1_2(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text("lr: 1e-5\nflag: off\nyes_: yes\ntrue_: true\nn: 010\n")
    assert read_study_file(file) == {
        "lr": 1e-5, "flag": "off", "yes_": "yes", "true_": True, "n": 10
    }  # fmt: skip


def test_json_is_read_by_its_name(tmp_path):
    file = tmp_path / "study.json"
    file.write_text('{"name": "x", "n": 1e-5}')
    assert read_study_file(str(file)) == {"name": "x", "n": 1e-5}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "s.yaml",
            "name: a\nspace: {}\nname: b\n",
            r"s\.yaml, line 3, column 1: key \"name\" is given twice",
        ),
        ("s.yaml", "a: [1,\nb: }\n", r"s\.yaml, line 2"),
        ("s.yaml", "- a\n", "holds a list"),
        ("s.yaml", "", "holds nothing"),
        ("s.yaml", "a: 2024-01-01\n", r"s\.yaml: a: is a date"),
        ("s.yaml", "a: {b: .nan}\n", r"a\.b: nan is not a finite number"),
        ("s.yaml", "a: !!python/object:os.system x\n", r"s\.yaml, line 1"),
        ("s.json", '{"a": 1, "a": 2}', "given twice"),
        ("s.json", '{"a": NaN}', "NaN"),
        ("s.json", "{", r"s\.json: The text is not JSON"),
    ],
)
def test_a_mistake_names_the_file_and_the_place(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(Invalid, match=message):
        read_study_file(tmp_path / name)


def test_a_missing_file_and_one_that_is_no_text_are_named(tmp_path):
    with pytest.raises(NotFound, match=r"none\.yaml"):
        read_study_file(tmp_path / "none.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Invalid, match=r"b\.yaml cannot be read"):
        read_study_file(tmp_path / "b.yaml")
