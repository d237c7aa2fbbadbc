"""The schema is read whole, or not understood."""

from __future__ import annotations

import json

import pytest

import pinned
from signoff.policy.bundle import shipped_schema
from signoff.policy.symbolic.schema import (
    EntityOf,
    Extension,
    Long,
    NotUnderstood,
    RecordOf,
    SetOf,
    Text,
    read_schema,
)


def test_every_kind_of_request_of_the_shipped_schema_is_known() -> None:
    kinds = list(read_schema(shipped_schema()).environments())
    assert len(kinds) == 20
    assert {kind.resource for kind in kinds} == {"Environment"}


def test_groups_and_ancestors_go_all_the_way_up() -> None:
    schema = read_schema(pinned.SCHEMA_TEXT)
    assert schema.actions["erase"].groups == {"grave", "change"}
    assert schema.actions["read"].groups == frozenset()
    assert schema.entities["User"].above == {"Group"}
    assert schema.entities["Doc"].above == {"Folder"}


def test_attributes_keep_their_types_and_whether_they_are_there() -> None:
    context = read_schema(pinned.SCHEMA_TEXT).actions["read"].context.attributes
    assert context["words"].type == SetOf(Text())
    assert context["by"].type == EntityOf("User")
    assert (context["n"].required, context["m"].required) == (True, False)
    about = context["about"].type
    assert isinstance(about, RecordOf)
    assert about.attributes["x"].type == Long()


def test_common_types_and_extensions_are_looked_up() -> None:
    schema = {
        "": {
            "commonTypes": {"Name": {"type": "String"}},
            "entityTypes": {
                "User": {
                    "shape": {
                        "type": "Record",
                        "attributes": {
                            "name": {"type": "Name"},
                            "seen": {"type": "EntityOrCommon", "name": "datetime"},
                            "boss": {"type": "EntityOrCommon", "name": "User"},
                        },
                    }
                }
            },
            "actions": {},
        }
    }
    attributes = read_schema(json.dumps(schema)).entities["User"].attributes.attributes
    assert attributes["name"].type == Text()
    assert attributes["seen"].type == Extension("datetime")
    assert attributes["boss"].type == EntityOf("User")


@pytest.mark.parametrize(
    "schema",
    [
        {"Own": {"entityTypes": {}, "actions": {}}},
        {
            "": {
                "entityTypes": {
                    "User": {"shape": {"type": "Record", "attributes": {"x": {"type": "Float"}}}}
                },
                "actions": {},
            }
        },
    ],
)
def test_a_schema_of_another_kind_is_not_understood(schema: object) -> None:
    with pytest.raises(NotUnderstood):
        read_schema(json.dumps(schema))
