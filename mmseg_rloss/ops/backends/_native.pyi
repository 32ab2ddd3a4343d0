# The compiled extension (csrc/bindings.cpp): what calls it checks its arguments.
from typing import Any

def __getattr__(name: str) -> Any: ...
