"""Shows :func:`~package.name` of the docstrings as `name` on the site of the documentation."""

import re

import griffe

ROLE = re.compile(r":(?:attr|class|func|meth|mod):`~?(?:[\w.]*\.)?(\w+)`")


class Roles(griffe.Extension):
    """An extension of what reads the docstrings."""

    def on_object(self, *, obj: griffe.Object, **kwargs: object) -> None:
        if obj.docstring is not None:
            obj.docstring.value = ROLE.sub(r"`\1`", obj.docstring.value)
