"""The language of prompt texts."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jan_server.services.llm_api.built_in_prompts import BUILT_IN
from jan_server.services.llm_api.template_expressions import TemplateError
from jan_server.services.llm_api.template_text import MAXIMUM_CHARACTERS, parse_template

VALUES: dict[str, Any] = {
    "Name": "Ann",
    "Empty": "",
    "Zero": 0,
    "Yes": True,
    "Items": ["tea", "milk"],
    "None": [],
    "Tools": [{"Name": "search", "Parameters": {"type": "object"}}, {"Name": "scrape"}],
    "Outer": {"Inner": {"Deep": "gold"}},
}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("plain {text} }} here", "plain {text} }} here"),
        ("Hello {{.Name}}, {{ .Name }}{{.Missing}}!", "Hello Ann, Ann!"),
        ("{{Name}} {{$.Name}} {{.Outer.Inner.Deep}}{{.Name.Nothing}}{{$missing}}", "Ann Ann gold"),
        ("{{if .Name}}a{{end}}{{if .Empty}}b{{end}}{{if .Zero}}c{{else}}d{{end}}", "ad"),
        ("{{if .Empty}}1{{else if .Zero}}2{{else if .Yes}}3{{else}}4{{end}}5", "35"),
        ("{{range .Items}}<{{.}} {{$.Name}}>{{else}}nothing{{end}}", "<tea Ann><milk Ann>"),
        ("{{range .None}}x{{else}}nothing{{end}} {{range .Name}}x{{end}}", "nothing"),
        ("{{range $i, $tool := .Tools}}{{$i}}={{$tool.Name}}{{.Parameters}};{{end}}", None),
        ("{{range $key, $v := .Outer}}{{$key}}{{end}}{{range $v := .Items}}{{$v}}{{end}}", "Innerteamilk"),
        ("{{with .Outer.Inner}}{{.Deep}}{{end}}{{with .Empty}}x{{else}}{{.Name}}{{end}}", "goldAnn"),
        ("{{if and .Name (not .Empty)}}a{{end}}{{if or .Empty .Zero}}b{{end}}", "a"),
        ('{{if eq .Name "Bob" "Ann"}}a{{end}}{{if ne .Zero 0}}b{{end}}{{len .Items}}{{len .Zero}}', "a20"),
        ('{{`raw {{ text`}} {{"esc\\"aped }}"}} {{true}} {{12}}', 'raw {{ text esc"aped }} true 12'),
        ("a\n  {{- if .Yes}}\nb\n{{- end -}}\n  c", "a\nbc"),
        ("a{{/* a remark with }} and {{ */}}b{{- /* another */ -}}  c", "abc"),
        ("\n  {{.Name}}  \n", "Ann"),
        ("{{.Items}} {{.Outer}}", '["tea","milk"] {"Inner":{"Deep":"gold"}}'),
    ],
)
def test_what_is_understood(source: str, text: str | None) -> None:
    expected = '0=search{"type":"object"};1=scrape;' if text is None else text
    assert parse_template(source).render(VALUES) == expected


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("a\nb {{.Name", "line 2: {{ is not closed by }}"),
        ("\n{{if .A}}\nx", "line 2: this block has no {{end}}"),
        ("{{end}}", "line 1: {{end}} has no beginning"),
        ("{{else}}", "line 1: {{else}} has no beginning"),
        ("{{if}}x{{end}}", "line 1: a value is expected"),
        ("{{}}", "line 1: a value is expected"),
        ("{{if .A}}{{else}}{{else}}{{end}}", "line 1: this block has more than one {{else}}"),
        ("{{if .A}}{{end now}}", "line 1: 'now' is not expected here"),
        ("{{.A .B}}", "line 1: '.B' is not expected here"),
        ("{{.A | upper}}", "line 1: '| upper' is not understood"),
        ("{{.A + 1}}", "line 1: '+ 1' is not understood"),
        ('{{template "x"}}', "line 1: `template` is not supported here"),
        ("{{break}}", "line 1: `break` is not supported here"),
        ("{{if not .A .B}}x{{end}}", "line 1: `not` does not take 2 values"),
        ("{{eq .A}}", "line 1: `eq` does not take 1 values"),
        ("{{range a, $b := .C}}{{end}}", "line 1: `:=` needs one or two names"),
        ("{{(.A}}", "line 1: a parenthesis is not closed"),
        ('{{"\\q"}}', "line 1: "),
        ("{{if .A}}" * 40 + "{{end}}" * 40, "line 1: blocks are nested deeper than 32 levels"),
    ],
)
def test_what_is_not_understood_is_named_with_its_line(source: str, problem: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse_template(source)
    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize(
    "path", ["__class__", "keys", "Outer.items", "Name.upper", "Items.0", "Items.append"]
)
def test_nothing_but_the_values_can_be_reached(path: str) -> None:
    assert parse_template(f"{{{{.{path}}}}}").render(VALUES) == ""


def test_a_text_that_grows_without_end_is_refused() -> None:
    values = {"A": ["x" * 1000] * 100}
    nested = parse_template("{{range .A}}{{range $.A}}{{range $.A}}{{.}}{{end}}{{end}}{{end}}")
    with pytest.raises(TemplateError, match=str(MAXIMUM_CHARACTERS)):
        nested.render(values)
    silent = parse_template("{{range .A}}{{range $.A}}{{range $.A}}{{range $.A}}{{end}}{{end}}{{end}}{{end}}")
    with pytest.raises(TemplateError, match="steps"):
        silent.render(values)


@given(st.text(alphabet='{}.$`"/*-\\ \nAif', max_size=60), st.integers(1, 3))
def test_any_text_is_a_template_or_a_named_error(text: str, times: int) -> None:
    try:
        parse_template(text * times).render(VALUES)
    except TemplateError as failure:
        assert str(failure)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", ["{{", '{{"a', "{{/* ", "{{`a", "{{/**/ /**/", "x{{.A}}", "{{(", '{{""""'])
def test_no_text_keeps_the_parser_searching(piece: str) -> None:
    with suppress(TemplateError):
        parse_template(piece * (60_000 // len(piece)))


@pytest.mark.parametrize("key", BUILT_IN)
def test_the_programs_own_texts_say_something_without_values(key: str) -> None:
    prompt = BUILT_IN[key]
    text = parse_template(prompt.content).render({})
    assert text
    assert "{{" not in text
    assert len(prompt.content) < 2000
