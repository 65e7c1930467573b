"""How seldom Python looks for garbage that refers to itself; everything else is freed at once anyway.

By default it looks through its young objects whenever 700 more were made than freed, and now and then through all that
the process has. A batch makes tens of thousands that live until it ends, and are looked through again and again: a
fifth of billing's own CPU. And the modules of a service are 80,000 objects: 35 to 45 ms in which it does nothing else.
"""

import gc

YOUNG_OBJECTS_MAX = 10_000  # some MB, of which nearly nothing is garbage


def look_seldom() -> None:
    """What is there by now is never looked through again. To be called once a process has what it keeps."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS_MAX)
