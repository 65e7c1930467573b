-- Roles and databases: each service owns its own and sees no other's. Passwords come from the credential files.
\set reservation_password `cat /run/credentials/reservation-password`
\set portal_password `cat /run/credentials/portal-password`
\set audit_password `cat /run/credentials/audit-password`

SET log_statement = 'none'; -- no password in a log, not even in that of a failure
SET log_min_error_statement = 'panic';
SET log_min_duration_statement = -1;

CREATE ROLE reservation LOGIN PASSWORD :'reservation_password';
CREATE ROLE portal LOGIN PASSWORD :'portal_password';
CREATE ROLE audit LOGIN PASSWORD :'audit_password' CONNECTION LIMIT 10; -- it looks on, and must not crowd out the sale
GRANT pg_read_all_data, pg_monitor TO audit;
ALTER ROLE audit SET default_transaction_read_only = on;

CREATE DATABASE reservation OWNER reservation;
CREATE DATABASE portal OWNER portal;
REVOKE ALL ON DATABASE reservation, portal, postgres, template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE reservation, portal, postgres TO audit;

-- Patroni gives these two their passwords and rights after us. pg_rewind connects to postgres.
CREATE ROLE replicator REPLICATION LOGIN;
CREATE ROLE rewind LOGIN;
GRANT CONNECT ON DATABASE postgres TO rewind;
