"""Values of a multipart form."""

import pytest
from urllib3 import encode_multipart_formdata

from llmtower_processors.engine import form
from llmtower_processors.engine.errors import BAD_ARGUMENTS, NOT_IMPLEMENTED, EngineError

VALUES = {"query": "SELECT {a:String}", "param_a": "line\r\nline\n\n--x\u00e9", "empty": ""}


def test_values_are_read_as_they_were_sent() -> None:
    body, kind = encode_multipart_formdata(VALUES)
    assert form.is_form(kind)
    assert form.read(kind, body) == VALUES


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=other", "multipart/form-data; boundary="])
def test_a_body_that_is_no_form_is_said_so(kind: str) -> None:
    body, _ = encode_multipart_formdata(VALUES)
    with pytest.raises(EngineError) as caught:
        form.read(kind, body)
    assert caught.value.code == BAD_ARGUMENTS


def test_a_value_that_is_no_text_and_a_file_are_refused() -> None:
    for fields, code in (({"a": b"\xff"}, BAD_ARGUMENTS), ({"a": ("name.csv", b"1")}, NOT_IMPLEMENTED)):
        body, kind = encode_multipart_formdata(fields)
        with pytest.raises(EngineError) as caught:
            form.read(kind, body)
        assert caught.value.code == code
