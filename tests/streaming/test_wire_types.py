"""The dashboard's types follow the protocol."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pydantic import BaseModel

from streaming import protocol, wire_types
from streaming.protocol import CloseCode, ServerMessage
from streaming.wire_types import SERVER_DATA, WIRE_FILE, typescript


def test_the_kept_types_are_those_of_the_protocol() -> None:
    assert WIRE_FILE.read_text(encoding="utf-8") == typescript(), (
        "run `manage.py export_wire_types` and commit streaming/dashboard/src/wire.ts"
    )


def test_every_type_of_server_frame_has_a_shape() -> None:
    assert set(SERVER_DATA) == set(ServerMessage)


def test_every_shape_of_the_protocol_is_exported() -> None:
    shapes = {
        name
        for name, value in vars(protocol).items()
        if isinstance(value, type) and issubclass(value, BaseModel) and name.endswith("Data")
    }
    source = typescript()
    assert [name for name in shapes - {"_Data"} if f"interface {name} {{" not in source] == []


def test_every_close_code_is_exported_with_its_number() -> None:
    source = typescript()
    assert all(f"  {code.name}: {code.value},\n" in source for code in CloseCode)


def test_a_field_that_may_be_left_out_is_optional_and_one_that_may_be_null_says_so() -> None:
    source = typescript()
    assert "  symbols: Array<string>;" in source
    assert "  max_weight?: number | null;" in source
    assert '  type: "optimization_result";' in source


def test_the_command_writes_the_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "wire.ts"
    monkeypatch.setattr("streaming.management.commands.export_wire_types.WIRE_FILE", target)
    call_command("export_wire_types", stdout=StringIO())
    assert target.read_text(encoding="utf-8") == wire_types.typescript()
    call_command("export_wire_types", "--check", stdout=StringIO())


def test_the_check_fails_when_the_types_are_out_of_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "wire.ts"
    target.write_text("// old\n")
    monkeypatch.setattr("streaming.management.commands.export_wire_types.WIRE_FILE", target)
    with pytest.raises(CommandError, match="differs from streaming"):
        call_command("export_wire_types", "--check", stdout=StringIO())
