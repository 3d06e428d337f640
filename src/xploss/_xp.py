"""The only file that imports array_api_compat: namespaces, devices and dtype facts of arrays."""

from typing import Any, TypeAlias

import array_api_compat

Array: TypeAlias = Any
"""An array of any namespace that array-api-compat recognises."""

Namespace: TypeAlias = Any
"""An Array API namespace, as ``array_namespace`` returns it."""

Dtype: TypeAlias = Any
Device: TypeAlias = Any

is_array = array_api_compat.is_array_api_obj
namespace = array_api_compat.array_namespace
device = array_api_compat.device
