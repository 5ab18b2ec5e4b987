/*
 * Connecting: the hosts of the URL in turn, beginning with the one that served last, until one is
 * found that can do what is wanted.
 *
 * A host is passed over when it does not answer within CONNECT_S, refuses the account, is a Galera
 * or group replication member that is not in sync with the others, or is read-only while writing is
 * wanted. Each is asked at every attempt, so one that recovers is used again; the error line tells
 * of the last one, and of how many were tried. Between two hosts an interruption is noticed.
 *
 * The session is the same whatever the server's settings: its mode, time zone, isolation and
 * time-outs are set explicitly, and option files are not read. A lost connection is never reopened
 * by the library, which would lose the place in the stream of changes without a word.
 */
#include "storage/mysql_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_S 2 /* for a connection to be made */
#define IO_S 3      /* for the rest of what has begun to arrive, or to be taken */
#define PASSWORD_MAX 1024

/*
 * Times as UTC; errors rather than cut values; no waiting for other programs' locks for long. A
 * view is taken once a transaction and kept.
 */
static const char *const session[] = {
	"SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', autocommit = 1, "
	"time_zone = '+00:00', lock_wait_timeout = 2, innodb_lock_wait_timeout = 5, "
	"net_write_timeout = 60, sql_safe_updates = 0, sql_select_limit = DEFAULT",
	"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
};

/* MySQL 8 tells day-old facts about tables otherwise; MariaDB has no such setting. */
static const char fresh_facts[] = "SET SESSION information_schema_stats_expiry = 0";

void mysql_store_close(struct mysql_store *store)
{
	if (!store->db)
		return;
	mysql_close(store->db);
	store->db = NULL;
	store->ready = false;
	store->unproven = true;
}

/* --- one host --------------------------------------------------------------------------------- */

/* Reads the password's file, whose first line it is; at most `size` octets with the NUL. */
static int read_password(struct mysql_store *store, char *password, size_t size)
{
	*password = '\0';
	if (!store->password_file)
		return STORAGE_OK;
	FILE *file = fopen(store->password_file, "re");
	if (!file)
		return storage_fail(&store->base, STORAGE_UNAVAILABLE,
				    "mysql %s: password file %s: %s", store->place,
				    store->password_file, strerror(errno));
	if (!fgets(password, (int)size, file))
		*password = '\0';
	bool failed = ferror(file);
	fclose(file);
	password[strcspn(password, "\r\n")] = '\0';
	return failed ? storage_fail(&store->base, STORAGE_UNAVAILABLE,
				     "mysql %s: cannot read the password file %s", store->place,
				     store->password_file)
		      : STORAGE_OK;
}

/* The library's "off" for a flag is a byte. */
static void set_options(MYSQL *db, const struct mysql_url *url)
{
	const unsigned int connect_s = CONNECT_S, io_s = IO_S, no = 0;
	const unsigned int protocol = url->socket ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
	const my_bool off = 0, enforce = url->tls != MYSQL_TLS_OFF;
	const my_bool verify = url->tls == MYSQL_TLS_VERIFY;

	mysql_options(db, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
	mysql_options(db, MYSQL_OPT_READ_TIMEOUT, &io_s);
	mysql_options(db, MYSQL_OPT_WRITE_TIMEOUT, &io_s);
	mysql_options(db, MYSQL_OPT_PROTOCOL, &protocol);
	mysql_options(db, MYSQL_OPT_RECONNECT, &off);
	mysql_options(db, MYSQL_OPT_LOCAL_INFILE, &no);
	mysql_options(db, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	if (!enforce)
		return;
	mysql_options(db, MYSQL_OPT_SSL_ENFORCE, &enforce);
	mysql_options(db, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
	mysql_options(db, MYSQL_OPT_SSL_CA, url->ca);
	mysql_options(db, MYSQL_OPT_SSL_CERT, url->certificate);
	mysql_options(db, MYSQL_OPT_SSL_KEY, url->key);
}

/* A peer that is gone without a word is noticed by the kernel, also while we wait for a reply. */
static void set_keepalive(int fd)
{
	const int on = 1, idle_s = 1, interval_s = 1, probes = 2, unacknowledged_ms = 1000 * IO_S;

	/* Fails on a Unix socket, whose peer cannot go unnoticed. */
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms,
		   sizeof(unacknowledged_ms));
}

/* Names the host for messages. */
static void set_place(struct mysql_store *store)
{
	const struct mysql_url *url = &store->url;

	if (url->socket)
		snprintf(store->place, sizeof(store->place), "%s/%s", url->socket, url->database);
	else
		snprintf(store->place, sizeof(store->place), "%s:%u/%s",
			 url->hosts[store->host].name, url->hosts[store->host].port, url->database);
}

static int connect_host(struct mysql_store *store)
{
	const struct mysql_url *url = &store->url;
	const struct mysql_host *host = url->socket ? NULL : &url->hosts[store->host];
	char password[PASSWORD_MAX];
	int status = read_password(store, password, sizeof(password));

	if (status != STORAGE_OK)
		return status;
	store->db = mysql_init(NULL);
	if (!store->db)
		return mysql_store_fail_memory(store);
	set_options(store->db, url);
	MYSQL *db = mysql_real_connect(store->db, host ? host->name : NULL, url->user, password,
				       url->database, host ? host->port : 0, url->socket, 0);
	explicit_bzero(password, sizeof(password));
	if (!db)
		return mysql_store_fail(store, "connect");
	set_keepalive(mysql_get_socket(store->db));
	for (size_t i = 0; i < sizeof(session) / sizeof(session[0]); i++) {
		status = mysql_store_run_text(store, session[i], MYSQL_REPLY_MS, "set the session");
		if (status != STORAGE_OK)
			return status;
	}
	if (!mariadb_connection(store->db))
		mysql_store_run_text(store, fresh_facts, MYSQL_REPLY_MS, "set the session");
	return store->db ? STORAGE_OK : STORAGE_UNAVAILABLE;
}

/* --- is it the right one ---------------------------------------------------------------------- */

/* What a server says of its role. */
struct role {
	bool read_only;
	bool galera;
	bool group;
	bool interleaved; /* numbers are given out by several servers */
	bool replica;
};

/* Adds a variable to what tells one server from another. */
static void add_identity(struct mysql_store *store, const char *name, const char *value)
{
	size_t used = strlen(store->server);

	snprintf(store->server + used, sizeof(store->server) - used, "%s=%s ", name, value);
}

/* Which of them there are depends on the server. */
static int read_variables(struct mysql_store *store, struct role *role)
{
	static const char doing[] = "ask for its role";
	struct mysql_result result;

	store->server[0] = '\0';
	mysql_text_start(&store->statement,
			 "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', 'wsrep_on', "
			 "'auto_increment_increment', 'group_replication_group_name', 'hostname', "
			 "'port', 'datadir', 'server_id', 'server_uuid', 'server_uid')");
	int status = mysql_store_query(store, false, MYSQL_REPLY_MS, doing, &result);
	if (status != STORAGE_OK)
		return status;
	while ((status = mysql_result_next(store, &result, doing)) == STORAGE_OK && result.row) {
		const char *name = mysql_result_text(&result, 0);
		const char *value = mysql_result_text(&result, 1);
		bool on = strcasecmp(value, "ON") == 0 || strcmp(value, "1") == 0;
		if (strcasecmp(name, "read_only") == 0)
			role->read_only = on;
		else if (strcasecmp(name, "wsrep_on") == 0)
			role->galera = on;
		else if (strcasecmp(name, "auto_increment_increment") == 0)
			role->interleaved = atoi(value) > 1;
		else if (strcasecmp(name, "group_replication_group_name") == 0)
			role->group = *value != '\0';
		else
			add_identity(store, name, value);
	}
	mysql_result_close(store, &result);
	return status;
}

/* Runs `sql` and says whether its first row has something; false also when it may not be run. */
static bool find_row(struct mysql_store *store, const char *sql)
{
	static const char doing[] = "ask for its role";
	struct mysql_result result;
	bool found = false;

	mysql_text_start(&store->statement, sql);
	if (mysql_store_query(store, false, MYSQL_REPLY_MS, doing, &result) != STORAGE_OK)
		return false;
	found = mysql_result_next(store, &result, doing) == STORAGE_OK && result.row;
	mysql_result_close(store, &result);
	return found;
}

/* STORAGE_OK when this host serves what is wanted. */
static int check_role(struct mysql_store *store)
{
	struct role role = {0};
	int status = read_variables(store, &role);

	if (status != STORAGE_OK)
		return status;
	/* A state of 4 is "Synced". */
	if (role.galera &&
	    (!find_row(store, "SHOW GLOBAL STATUS WHERE Variable_name = 'wsrep_ready' "
			      "AND Value = 'ON'") ||
	     !find_row(store, "SHOW GLOBAL STATUS WHERE Variable_name = 'wsrep_local_state' "
			      "AND Value = '4'")))
		return storage_fail(&store->base, STORAGE_UNAVAILABLE,
				    "mysql %s: this Galera member is not synced", store->place);
	if (role.group &&
	    find_row(store, "SELECT 1 FROM performance_schema.replication_group_members "
			    "WHERE member_id = @@server_uuid AND member_state <> 'ONLINE'"))
		return storage_fail(&store->base, STORAGE_UNAVAILABLE,
				    "mysql %s: this group member is not online", store->place);
	if (role.read_only && !store->base.read_only)
		return storage_fail(&store->base, STORAGE_REFUSED,
				    "mysql %s: the server is read-only: name one that takes writes",
				    store->place);
	role.replica =
		find_row(store, "SHOW SLAVE STATUS") || find_row(store, "SHOW REPLICA STATUS");
	store->remote_writers =
		role.read_only || role.galera || role.group || role.interleaved || role.replica;
	return store->db ? STORAGE_OK
			 : storage_fail(&store->base, STORAGE_UNAVAILABLE,
					"mysql %s: the connection was lost", store->place);
}

static int open_host(struct mysql_store *store)
{
	set_place(store);
	int status = connect_host(store);
	if (status == STORAGE_OK)
		status = check_role(store);
	if (status != STORAGE_OK)
		mysql_store_close(store);
	return status;
}

/* --- all of them ------------------------------------------------------------------------------ */

int mysql_store_open(struct storage *storage)
{
	struct mysql_store *store = mysql_store_of(storage);
	size_t count = store->url.socket ? 1 : store->url.host_count;
	size_t first = store->host;
	int status = STORAGE_UNAVAILABLE;

	mysql_store_close(store);
	for (size_t i = 0; i < count; i++) {
		if (storage_is_interrupted(storage))
			return storage_fail_interrupted(storage);
		store->host = (first + i) % count;
		status = open_host(store);
		if (status == STORAGE_OK || status == STORAGE_INTERRUPTED)
			return status;
	}
	store->host = first;
	if (count > 1) {
		char last[STORAGE_ERROR_MAX];
		snprintf(last, sizeof(last), "%s", storage->error);
		storage_fail(storage, status, "none of %zu hosts serves; the last: %.640s", count,
			     last);
	}
	return status;
}
