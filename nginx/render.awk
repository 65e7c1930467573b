# Fills in nginx.conf: `awk -f render.awk nginx.conf`, with the TICKETFLOW_... variables in the environment.
# A line whose variable has several values, comma separated, is written once for each. Plain POSIX awk.

{
    if (!match($0, /\$\{TICKETFLOW_[A-Z0-9_]+\}/)) {
        print
        next
    }
    before = substr($0, 1, RSTART - 1)
    name = substr($0, RSTART + 2, RLENGTH - 3)
    after = substr($0, RSTART + RLENGTH)
    if (ENVIRON[name] == "") {
        print name " is not set" > "/dev/stderr"
        exit 1
    }
    count = split(ENVIRON[name], values, ",")
    for (i = 1; i <= count; i++)
        print before values[i] after
}
