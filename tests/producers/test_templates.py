"""Templates reach nothing but their variables, and end: a corpus of known escapes and of templates that grow or loop without bound."""

from typing import Any

import pytest

from llmtower.template_filters import MAX_TEXT, RenderError
from llmtower.templates import TemplateRefusedError, compile_template, render_template, variables_of


class Secret:
    """An object that an application hands in by mistake."""

    def __init__(self) -> None:
        self.password = "hunter2"
        self._hidden = "hunter3"

    def steal(self) -> str:
        return self.password


VALUES: dict[str, Any] = {
    "x": "",
    "o": Secret(),
    "d": {},
    "a": "__class__",
    "b": "__globals__",
    "f": open,
    "n": [1, 2, 3],
    "g": (letter for letter in ""),
}

ESCAPES = (
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''['__class__'] }}",
    "{{ x[a] }}",
    "{{ x|attr('__class__') }}",
    "{{ x|attr(a) }}",
    "{{ x|attr('\\x5f\\x5fclass\\x5f\\x5f') }}",
    "{{ x['\\x5f\\x5fclass\\x5f\\x5f'] }}",
    "{{ x['__cla' ~ 'ss__'] }}",
    "{{ x[['__cla', 'ss__']|join] }}",
    "{{ x['__ssalc__'|reverse] }}",
    "{{ x['__CLASS__'|lower] }}",
    "{{ x['%c%cclass%c%c'|format(95,95,95,95)] }}",
    "{{ o._hidden }}",
    "{{ o.steal() }}",
    "{{ o.__init__.__globals__ }}",
    "{{ o.steal.__func__.__globals__ }}",
    "{{ o.__dict__ }}",
    "{{ f('/etc/passwd').read() }}",
    "{{ f.__self__ }}",
    "{{ f.__call__ }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ config }}",
    "{{ request.application }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ lipsum.__globals__ }}",
    "{{ lipsum.__globals__['os'] }}",
    "{{ namespace.__init__ }}",
    "{{ dict.__base__ }}",
    "{{ range.__class__ }}",
    "{{ range.mro() }}",
    "{{ (1).__class__ }}",
    "{{ [].append }}{{ n.append(4) }}",
    "{{ d.update(a=1) }}",
    "{{ d.__setitem__('a', 1) }}",
    "{{ n.pop() }}",
    "{{ g.gi_frame.f_globals }}",
    "{{ g.gi_code }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(o) }}",
    "{{ '{o.password}'.format_map(d) }}",
    "{{ '%s'|format(o) }}",
    "{{ [o]|map(attribute='__class__')|list }}",
    "{{ [o]|map('attr', '__class__')|list }}",
    "{{ [o]|sum(attribute='__class__', start=x) }}",
    "{{ [o]|groupby('__class__') }}",
    "{{ [o]|join(attribute='__class__') }}",
    "{{ [o]|selectattr('__class__.__name__', 'eq', 'Secret')|first }}{{ o.steal() }}",
    "{% set y = x.__class__ %}{{ y }}",
    "{% for y in x.__class__.__mro__ %}{{ y }}{% endfor %}",
    "{% if o.__class__ %}a{% endif %}",
    "{% macro m() %}{{ caller.__globals__ }}{% endmacro %}{{ m() }}",
    "{% call(x) range(1) %}{% endcall %}",
    "{% import 'os' as os %}{{ os }}",
    "{% from 'os' import path %}",
    "{% include '/etc/passwd' %}",
    "{% extends '/etc/passwd' %}",
    "{% block a %}{% endblock %}",
    "{% filter upper %}a{% endfilter %}",
    "{% set ns = namespace(a=1) %}",
    "{% autoescape false %}{{ x }}{% endautoescape %}",
    "{% with a=1 %}{% endwith %}",
    "{% do n.append(1) %}",
    "{% debug %}",
    "{{ _llmtower_budget }}",
    "{% set _llmtower_budget = 1 %}",
    "{% set range = 1 %}",
    "{{ n|_bounded }}",
    "{{ x|_joined }}",
    "{{ n|random }}",
    "{{ x|pprint }}",
    "{{ x|xmlattr }}",
    "{{ x|urlize }}",
    "{{ x is callable }}",
    "{{ x is sameas x }}",
)


@pytest.mark.parametrize("source", ESCAPES)
def test_a_known_escape_reaches_nothing(source: str) -> None:
    with pytest.raises((TemplateRefusedError, RenderError)) as caught:
        render_template(compile_template(source), VALUES)
    assert "hunter" not in str(caught.value)
    assert VALUES["n"] == [1, 2, 3]
    assert VALUES["d"] == {}


@pytest.mark.parametrize("source", ["{{ [o]|map(attribute=a)|list }}", "{{ [o]|sort(attribute=a)|length }}"])
def test_an_attribute_named_by_a_variable_is_nothing(source: str) -> None:
    assert "Secret" not in render_template(compile_template(source), VALUES)


BOMBS = (
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% for i in n %}{% for j in n %}x{% endfor %}{% endfor %}",
    "{% for i in n recursive %}{{ loop(n) }}{% endfor %}",
    "{{ 'a' * 1000000000 }}",
    "{{ [1] * 1000000000 }}",
    "{{ 10 ** 10 ** 8 }}",
    "{% set a = 9 %}" + "{% set a = a * a %}" * 60,
    "{% set a = 'aa' %}" + "{% set a = a ~ a %}" * 60 + "{{ a }}",
    "{% set a = 'aa' %}" + "{% set a = a + a %}" * 60 + "{{ a }}",
    "{% set a = [1, 2] %}" + "{% set a = a + a %}" * 60,
    "{% set a = 'aa' %}" + "{% set a = a|replace('a', a) %}" * 60,
    "{% set a = 'aa' %}" + "{% set a = [a, a]|join %}" * 60,
    "{% set a = 'a\n' * 9 %}{{ a|indent(99999999) }}",
    "{{ 'a'|indent(99999999) }}",
    "{{ 'a\na'|indent(-1) }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%s' % n }}",
    "{{ 1|round(1000000000) }}",
    "{{ 'a'|center(1000000000) }}",
    "{{ 'a'|format }}",
    "{% set a = range(10000)|map('string')|list|sort %}" * 1_000,
    "{{ range(1000000000) }}",
    "{{ n|tojson }}" * 5_000,
    "{{ '(' }}{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
    "{{ x }}" * 30_000,
    "{% set a = [x, 'aa'] %}" + "{% set a = [a, a] %}" * 60 + "{{ a }}",
    "{% set a = (x, 'aa') %}" + "{% set a = (a, a) %}" * 60 + "{{ a|string }}",
    "{% set a = {'a': 'aa'} %}" + "{% set a = {'a': a, 'b': a} %}" * 60 + "{{ a|tojson }}",
    "{% set a = [x] %}{% set b = [x] %}" + "{% set a = [a, a] %}{% set b = [b, b] %}" * 60 + "{{ a == b }}",
    "{% set a = 'aa' %}" + "{% set a = a ~ a %}" * 20 + "{% set b = [a] %}" + "{% set b = b + b %}" * 20 + "{{ b }}",
    "{% set a = 'aa' %}" + "{% set a = a ~ a %}" * 20 + "{{ '' ~ (" + " ~ ".join("a" * 9_000) + ") }}",
    "{% set a = 'aa' %}" + "{% set a = a ~ a %}" * 20 + "{{ range(9000)|map(attribute='z', default=a)|list }}",
    "{% set a = 'aa' %}" + "{% set a = a ~ a %}" * 20 + "{{ range(9000)|map(attribute='z', default=a)|list|upper }}",
    "{% set a = 'aa' %}"
    + "{% set a = a ~ a %}" * 20
    + "{{ ('a' ~ 'aaaaaaaaa'|replace('a', 'aaaaaaaaa'))|list|map('replace', 'a', a)|list|length }}",
    "{% set a = range(90000)|list %}{{ [" + "a, " * 400 + "]|sum(start=[])|length }}",
)


@pytest.mark.parametrize("source", BOMBS)
def test_what_would_grow_or_loop_without_end_ends(source: str) -> None:
    """Without the bounds these take hours: the time limit of every test ends them."""
    with pytest.raises((TemplateRefusedError, RenderError)):
        render_template(compile_template(source), {"x": "", "n": list(range(2_000))})


def test_what_prompts_need_works() -> None:
    source = (
        "{% if tone == 'warm' %}Dear{% elif tone in ['cool'] %}Hi{% else %}To{% endif %} {{ user.name|title }}{{ '!' if user.vip }}\n"
        "{% for d in docs if d.text %}{{ loop.index }}. {{ d.text|trim }}{% if not loop.last %}, {% endif %}{% else %}nothing{% endfor %}\n"
        "{% set n = docs|length %}{{ n }} {{ docs|map(attribute='text')|join('/') }} {{ tags|join(', ') }} "
        "{{ 7 // 2 + 3 * 2 - 1 }} {{ 1.256|round(2) }} "
        "{{ user|tojson }} {{ 'a' ~ 1 ~ 'b' }} {{ tags[0] }} {{ tags[1:]|list }} {{ missing|default('none') }} {{ 'a\nb'|indent(2) }}"
    )
    values = {"tone": "warm", "user": {"name": "zoë", "vip": True}, "docs": [{"text": " a"}, {"text": "b "}], "tags": ["x", "y"]}
    assert render_template(compile_template(source), values) == (
        'Dear Zoë!\n1. a, 2. b2  a/b  x, y 8 1.26 {"name": "zoë", "vip": true} a1b x [\'y\'] none a\n  b'
    )
    assert variables_of(source) == {"tone", "user", "docs", "tags", "missing"}


def test_a_missing_variable_is_an_error_that_names_it_alone() -> None:
    with pytest.raises(RenderError, match=r"^'name' is undefined$"):
        render_template(compile_template("{{ secret }} {{ name }}"), {"secret": "hunter2"})


@pytest.mark.parametrize("source", ["{{ a", "{% if %}", "{% for a in %}", "{{ a|nofilter }}", "{% endfor %}", "{{ 1 is odder }}"])
def test_a_broken_template_is_refused_with_its_line(source: str) -> None:
    with pytest.raises(TemplateRefusedError, match=r"^support/answer(, line 2|)"):
        compile_template(f"\n{source}", where="support/answer")


def test_a_megabyte_of_text_is_one_part() -> None:
    text = "word " * 200_000 + "{{ x }}"
    assert len(render_template(compile_template(text), {"x": "!"})) == 1_000_001
    with pytest.raises(RenderError, match="grows beyond"):
        render_template(compile_template("{{ x }}"), {"x": "a" * (MAX_TEXT + 1)})
