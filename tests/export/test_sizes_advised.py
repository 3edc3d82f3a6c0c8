"""Invalid input sizes: the size recommended by the refusal works."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearport.base import Size
from clearport.errors import BadInput
from clearport.export.trial_sizes import check_size
from clearport.models.networks.super_resolution.ncnet import SPEC


@given(height=st.integers(1, 4000), width=st.integers(1, 4000), multiple=st.integers(1, 64), least=st.integers(1, 200))
def test_the_size_that_is_named_is_taken(height: int, width: int, multiple: int, least: int) -> None:
    spec = replace(SPEC, size_multiple=multiple, least_side=least)
    try:
        check_size(spec, Size(height, width))
    except BadInput as error:
        for named in re.findall(r"for example (\d+x\d+)", str(error)):
            check_size(spec, Size.parse(named))
        for side in re.findall(r"at least (\d+) pixels", str(error)):
            check_size(spec, Size(int(side), int(side)))


def test_a_size_just_below_the_largest_is_not_rounded_beyond_it() -> None:
    with pytest.raises(BadInput, match="for example 2152x3840"):
        check_size(replace(SPEC, size_multiple=8), Size(2157, 3845))
