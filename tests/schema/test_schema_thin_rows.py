"""Rows compared before they are decoded: as the decoded samples would be."""

from __future__ import annotations

from examples import examples
from hypothesis import given
from schema_strategies import samples

from voyager.schema import Sample, encode_sample
from voyager.schema.thin_rows import open_sides, thin_sample, uid_of


@given(samples, samples)
@examples(20, deep=400)
def test_rows_are_opened_as_samples_are(one: Sample, other: Sample) -> None:
    other = other.replace(regions=(*other.regions, *one.regions[:1]))
    rows = open_sides(encode_sample(one), encode_sample(other))
    values = open_sides(one, other)
    assert rows.new_regions == values.new_regions
    assert rows.old_regions == values.old_regions
    for name in Sample.__struct_fields__:
        if name != "regions":
            assert getattr(rows.before, name) == getattr(one, name)


@given(samples)
@examples(12, deep=200)
def test_a_row_in_part(sample: Sample) -> None:
    row = encode_sample(sample)
    assert uid_of(row) == sample.uid
    thin = thin_sample(row)
    assert (thin.image, thin.labels, len(thin.regions)) == (
        sample.image,
        sample.labels,
        len(sample.regions),
    )
