-- The accounts of a data folder that is just made: the files' owner through the local socket, and nobody else.
-- The others are made by galera_node/accounts.py once the cluster runs, from the credentials.
FLUSH PRIVILEGES;
DELETE FROM mysql.global_priv WHERE User NOT IN ('mysql', 'root', 'mariadb.sys', 'PUBLIC') OR Host NOT IN ('localhost', '');
DELETE FROM mysql.proxies_priv;
FLUSH PRIVILEGES;
