"""TensorFlow's protocol-buffer messages, declared as data, so that reading needs no TensorFlow.

Field numbers and types: tensorflow/core/framework/{graph,node_def,attr_value,tensor,tensor_shape,
types,function,op_def,versions,tensor_slice}.proto and tensorflow/core/protobuf/{saved_model,
meta_graph,saved_object_graph,tensor_bundle}.proto, a stable wire format. Fields that no reader of
ours needs are left out: the parser keeps them as unknown fields.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

DATA_TYPES: dict[str, int] = {
    "DT_INVALID": 0, "DT_FLOAT": 1, "DT_DOUBLE": 2, "DT_INT32": 3, "DT_UINT8": 4, "DT_INT16": 5,
    "DT_INT8": 6, "DT_STRING": 7, "DT_COMPLEX64": 8, "DT_INT64": 9, "DT_BOOL": 10, "DT_QINT8": 11,
    "DT_QUINT8": 12, "DT_QINT32": 13, "DT_BFLOAT16": 14, "DT_QINT16": 15, "DT_QUINT16": 16,
    "DT_UINT16": 17, "DT_COMPLEX128": 18, "DT_HALF": 19, "DT_RESOURCE": 20, "DT_VARIANT": 21,
    "DT_UINT32": 22, "DT_UINT64": 23, "DT_FLOAT8_E5M2": 24, "DT_FLOAT8_E4M3FN": 25,
    "DT_INT4": 29, "DT_UINT4": 30,
}  # fmt: skip

# message -> field -> (number, type); `*` repeats, `|` is a member of the oneof "value"
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "GraphDef": {
        "node": (1, "*NodeDef"), "library": (2, "FunctionDefLibrary"), "version": (3, "int32"),
        "versions": (4, "VersionDef"),
    },
    "VersionDef": {
        "producer": (1, "int32"), "min_consumer": (2, "int32"), "bad_consumers": (3, "*int32"),
    },
    "NodeDef": {
        "name": (1, "string"), "op": (2, "string"), "input": (3, "*string"),
        "device": (4, "string"), "attr": (5, "map AttrValue"),
    },
    "AttrValue": {
        "list": (1, "|ListValue"), "s": (2, "|bytes"), "i": (3, "|int64"), "f": (4, "|float"),
        "b": (5, "|bool"), "type": (6, "|DataType"), "shape": (7, "|TensorShapeProto"),
        "tensor": (8, "|TensorProto"), "placeholder": (9, "|string"), "func": (10, "|NameAttrList"),
    },
    "ListValue": {
        "s": (2, "*bytes"), "i": (3, "*int64"), "f": (4, "*float"), "b": (5, "*bool"),
        "type": (6, "*DataType"), "shape": (7, "*TensorShapeProto"), "tensor": (8, "*TensorProto"),
        "func": (9, "*NameAttrList"),
    },
    "NameAttrList": {"name": (1, "string"), "attr": (2, "map AttrValue")},
    "TensorShapeProto": {"dim": (2, "*Dim"), "unknown_rank": (3, "bool")},
    "Dim": {"size": (1, "int64"), "name": (2, "string")},
    "TensorProto": {
        "dtype": (1, "DataType"), "tensor_shape": (2, "TensorShapeProto"),
        "version_number": (3, "int32"), "tensor_content": (4, "bytes"), "float_val": (5, "*float"),
        "double_val": (6, "*double"), "int_val": (7, "*int32"), "string_val": (8, "*bytes"),
        "scomplex_val": (9, "*float"), "int64_val": (10, "*int64"), "bool_val": (11, "*bool"),
        "dcomplex_val": (12, "*double"), "half_val": (13, "*int32"), "uint32_val": (16, "*uint32"),
        "uint64_val": (17, "*uint64"),
    },
    "FunctionDefLibrary": {"function": (1, "*FunctionDef")},
    "FunctionDef": {
        "signature": (1, "OpDef"), "node_def": (3, "*NodeDef"), "ret": (4, "map string"),
        "attr": (5, "map AttrValue"), "control_ret": (6, "map string"),
    },
    "OpDef": {"name": (1, "string"), "input_arg": (2, "*ArgDef"), "output_arg": (3, "*ArgDef")},
    "ArgDef": {
        "name": (1, "string"), "type": (3, "DataType"), "type_attr": (4, "string"),
        "number_attr": (5, "string"), "type_list_attr": (6, "string"),
    },
    "SavedModel": {"schema_version": (1, "int64"), "meta_graphs": (2, "*MetaGraphDef")},
    "MetaGraphDef": {
        "meta_info_def": (1, "MetaInfoDef"), "graph_def": (2, "GraphDef"),
        "signature_def": (5, "map SignatureDef"), "object_graph_def": (7, "SavedObjectGraph"),
    },
    "MetaInfoDef": {"tags": (4, "*string"), "tensorflow_version": (5, "string")},
    "SignatureDef": {"inputs": (1, "map TensorInfo"), "outputs": (2, "map TensorInfo")},
    # of the three encodings only `name` is one tensor
    "TensorInfo": {"name": (1, "string"), "dtype": (2, "DataType")},
    "SavedObjectGraph": {"nodes": (1, "*SavedObject")},
    "SavedObject": {},
    "BundleHeader": {"num_shards": (1, "int32"), "endianness": (2, "int32")},
    "BundleEntry": {
        "dtype": (1, "DataType"), "shape": (2, "TensorShapeProto"), "shard_id": (3, "int32"),
        "offset": (4, "int64"), "size": (5, "int64"), "crc32c": (6, "fixed32"),
        "slices": (7, "*TensorSlice"),
    },
    "TensorSlice": {},
}  # fmt: skip

_PACKAGE = "dlcc.graphdef"
_Field = descriptor_pb2.FieldDescriptorProto


def _set_type(field: Any, kind: str) -> None:
    if kind in _MESSAGES:
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    elif kind == "DataType":
        field.type, field.type_name = _Field.TYPE_ENUM, f".{_PACKAGE}.DataType"
    else:
        field.type = getattr(_Field, f"TYPE_{kind.upper()}")


def _add_map(message: Any, name: str, number: int, value_kind: str) -> None:
    """A map field is a repeated message of key and value, marked as a map entry."""
    entry_name = "".join(part.capitalize() for part in name.split("_")) + "Entry"
    entry = message.nested_type.add(name=entry_name)
    entry.options.map_entry = True
    for index, (part, kind) in enumerate((("key", "string"), ("value", value_kind)), start=1):
        field = entry.field.add(name=part, number=index, label=_Field.LABEL_OPTIONAL)
        _set_type(field, kind)
    field = message.field.add(name=name, number=number, label=_Field.LABEL_REPEATED)
    field.type = _Field.TYPE_MESSAGE
    field.type_name = f".{_PACKAGE}.{message.name}.{entry_name}"


def _add_field(message: Any, name: str, number: int, kind: str) -> None:
    if kind.startswith("map "):
        _add_map(message, name, number, kind.removeprefix("map "))
        return
    repeated = kind.startswith("*")
    field = message.field.add(name=name, number=number)
    field.label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    if kind.startswith("|"):
        if not message.oneof_decl:
            message.oneof_decl.add(name="value")
        field.oneof_index = 0
    _set_type(field, kind.lstrip("*|"))


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(
        name="dlcc/graphdef.proto", package=_PACKAGE, syntax="proto3"
    )
    types = file.enum_type.add(name="DataType")
    for name, number in DATA_TYPES.items():
        types.value.add(name=name, number=number)
    for message_name, fields in _MESSAGES.items():
        message = file.message_type.add(name=message_name)
        for name, (number, kind) in fields.items():
            _add_field(message, name, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    return pool


@cache
def message_class(name: str) -> Any:
    """The protocol-buffer class of a message of GraphDef's schema, for instance "GraphDef"."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{_PACKAGE}.{name}"))
