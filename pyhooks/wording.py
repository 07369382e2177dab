"""Words for error messages."""

from __future__ import annotations


def kind(value: object) -> str:
    """What a value is, to follow "is": "None", "the class Adam", "an int", "a list".

    Example:
        >>> kind([1, 2]), kind(3), kind(dict), kind(None)
        ('a list', 'an int', 'the class dict', 'None')
    """
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
