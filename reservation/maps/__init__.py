"""What readers are shown of an event's places: made once for all, at most so old, from the memory of this replica.

`snapshots` says when a snapshot is made anew and who waits for it; `plan` makes the body of a seat map, `packing` its
gzip, `seen` holds both; `manners` is what HTTP says about it. The SQL is in reservation/store_maps.py.
"""
