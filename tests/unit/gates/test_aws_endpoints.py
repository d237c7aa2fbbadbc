"""Regions of the settings, before anything is sent there."""

from __future__ import annotations

import pytest

from signoff.gates.aws_endpoints import check_regions
from signoff.model.errors import ConfigInvalid


def test_a_region_that_aws_does_not_have_is_an_error_of_the_settings() -> None:
    with pytest.raises(ConfigInvalid) as found:
        check_regions(("eu-west-1", "mars-1"))
    assert "`mars-1`" in found.value.what
    assert "aws.regions" in found.value.next_step


def test_regions_of_every_partition_are_known_and_none_at_all_means_all() -> None:
    check_regions(("eu-west-1", "cn-north-1", "us-gov-west-1"))
    check_regions(())
