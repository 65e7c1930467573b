#!/bin/sh
# Whether this node takes statements: it belongs to the primary component and has its data.
[ "$(timeout 3 mariadb --connect-timeout=2 --skip-column-names --batch --execute "SHOW GLOBAL STATUS LIKE 'wsrep_ready'" 2>/dev/null)" = "wsrep_ready	ON" ]
