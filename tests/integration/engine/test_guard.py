"""What the dashboards' reader may not see, whatever the SQL; and that honest dashboards are not in its way."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.integration.engine.raw import Raw

from llmtower_processors.engine import EngineProcess, Role
from llmtower_processors.engine.lexer import tokens

pytestmark = pytest.mark.integration

SECRET = "TOPSECRET"

SCHEMA = (
    "CREATE DATABASE IF NOT EXISTS llmtower",
    "CREATE TABLE llmtower.calls (call_id UInt64, project String, started_at DateTime, cost_nano_usd Nullable(Int64)) ORDER BY call_id",
    "CREATE TABLE llmtower.contents (call_id UInt64, prompt String) ENGINE = MergeTree ORDER BY call_id",
    "CREATE TABLE llmtower.dead_letter_bytes (id UInt64, raw String) ENGINE = MergeTree ORDER BY id",
    "CREATE TABLE llmtower.dead_letters (id UInt64, reason String) ENGINE = MergeTree ORDER BY id",
    "CREATE TABLE llmtower.rollup (project String, n UInt64) ENGINE = SummingMergeTree ORDER BY project",
    "CREATE MATERIALIZED VIEW llmtower.rollup_mv TO llmtower.rollup AS SELECT project, count() AS n FROM llmtower.calls GROUP BY project",
    "CREATE MATERIALIZED VIEW llmtower.leak_mv TO llmtower.contents AS SELECT id AS call_id, raw AS prompt FROM llmtower.dead_letter_bytes",
    "CREATE VIEW llmtower.spend AS SELECT project, sum(cost_nano_usd) AS cost FROM llmtower.calls GROUP BY project",
    "CREATE VIEW llmtower.spend_again AS SELECT * FROM llmtower.spend",
    "CREATE VIEW llmtower.leak AS SELECT prompt FROM llmtower.contents",
    "CREATE VIEW llmtower.leak_behind AS SELECT * FROM llmtower.leak",
    "CREATE VIEW llmtower.leak_scalar AS SELECT (SELECT any(prompt) FROM llmtower.contents) AS x FROM llmtower.calls",
    "CREATE VIEW llmtower.leak_parameter AS SELECT prompt FROM llmtower.contents WHERE call_id = {id:UInt64}",
    "CREATE TABLE llmtower.everything AS llmtower.contents ENGINE = Merge('llmtower', '^cont')",
    "CREATE TABLE llmtower.buffered AS llmtower.contents ENGINE = Buffer('llmtower', 'contents', 1, 10, 100, 10, 100, 10, 100)",
    """CREATE DICTIONARY llmtower.dict (call_id UInt64, prompt String) PRIMARY KEY call_id
    SOURCE(CLICKHOUSE(DB 'llmtower' TABLE 'contents')) LAYOUT(FLAT()) LIFETIME(0)""",
    "CREATE FUNCTION leak_function AS (x) -> dictGet('llmtower.dict', 'prompt', x)",
    "CREATE TABLE default.copy (prompt String) ENGINE = MergeTree ORDER BY prompt",
    f"INSERT INTO llmtower.contents VALUES (1, '{SECRET}')",
    f"INSERT INTO llmtower.dead_letter_bytes VALUES (1, '{SECRET}')",
    f"INSERT INTO default.copy VALUES ('{SECRET}')",
    "INSERT INTO llmtower.dead_letters VALUES (1, 'bad json')",
    "INSERT INTO llmtower.calls VALUES (1, 'shop', '2026-01-01 00:00:00', 1500), (2, 'shop', '2026-01-01 00:01:00', NULL)",
)

REFUSED = (
    # the tables themselves
    "SELECT * FROM llmtower.contents",
    "SELECT * FROM `llmtower`.`contents`",
    'SELECT * FROM "llmtower"."contents"',
    "FROM llmtower.contents SELECT prompt",
    "SELECT/**/prompt/**/FROM/**/llmtower/**/./**/contents",
    "SELECT * FROM llmtower.contents FINAL",
    "SELECT * FROM llmtower.contents SAMPLE 1",
    "SELECT raw FROM llmtower.dead_letter_bytes",
    "SELECT * FROM default.copy",
    "SELECT count() FROM llmtower.contents",
    # joins, sets, subqueries
    "SELECT prompt FROM llmtower.calls JOIN llmtower.contents USING call_id",
    "SELECT prompt FROM llmtower.calls c, llmtower.contents x",
    "SELECT * FROM llmtower.calls LEFT ANTI JOIN llmtower.contents USING call_id",
    "SELECT * FROM llmtower.calls ASOF JOIN llmtower.contents ON calls.project = contents.prompt AND calls.call_id > contents.call_id",
    "SELECT * FROM (SELECT * FROM (SELECT * FROM llmtower.contents))",
    "SELECT (SELECT any(prompt) FROM llmtower.contents)",
    "SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT call_id FROM llmtower.contents",
    "SELECT 1 INTERSECT SELECT call_id FROM llmtower.contents",
    "SELECT 1 EXCEPT SELECT call_id FROM llmtower.contents",
    "SELECT * FROM llmtower.calls WHERE call_id IN (SELECT call_id FROM llmtower.contents WHERE prompt LIKE 'T%')",
    "SELECT 1 IN llmtower.contents",
    "SELECT (1, 'TOPSECRET') IN llmtower.contents",
    "SELECT 'TOPSECRET' GLOBAL IN default.copy",
    "SELECT arrayMap(x -> x IN default.copy, ['TOPSECRET'])",
    "SELECT in('TOPSECRET', default.copy)",
    "SELECT EXISTS(SELECT 1 FROM llmtower.contents)",
    "SELECT 1 > ANY(SELECT call_id FROM llmtower.contents)",
    "SELECT * FROM llmtower.calls LIMIT (SELECT call_id FROM llmtower.contents)",
    "SELECT 1 AS a ORDER BY a WITH FILL FROM (SELECT call_id FROM llmtower.contents)",
    "SELECT 1 AS a, 2 AS b ORDER BY a WITH FILL INTERPOLATE (b AS (SELECT any(call_id) FROM llmtower.contents))",
    "SELECT sum(call_id) OVER (ROWS BETWEEN (SELECT 1 FROM llmtower.contents) PRECEDING AND CURRENT ROW) FROM llmtower.calls",
    "SELECT project FROM llmtower.calls GROUP BY project HAVING count() > (SELECT count() FROM llmtower.contents)",
    "SELECT * FROM llmtower.calls PREWHERE call_id = (SELECT min(call_id) FROM llmtower.contents)",
    "SELECT quantile(0.5)(call_id) FILTER (WHERE call_id IN (SELECT call_id FROM llmtower.contents)) FROM llmtower.calls",
    # names that pretend
    "WITH contents AS (SELECT * FROM llmtower.contents) SELECT * FROM contents",
    "WITH x AS (SELECT prompt FROM llmtower.contents) SELECT * FROM x",
    "WITH (SELECT any(prompt) FROM llmtower.contents) AS p SELECT p",
    "WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n + call_id FROM x, llmtower.contents) SELECT * FROM x",
    "WITH calls AS (SELECT 1) SELECT (SELECT any(prompt) FROM llmtower.contents) FROM calls",
    # column tricks the tree does not show
    "SELECT * APPLY(x -> x IN llmtower.contents) FROM llmtower.calls",
    "SELECT * APPLY(x -> (SELECT any(prompt) FROM llmtower.contents)) FROM llmtower.calls",
    "SELECT * REPLACE((SELECT any(prompt) FROM llmtower.contents) AS project) FROM llmtower.calls",
    # views and other tables that read it
    "SELECT * FROM llmtower.leak",
    "SELECT * FROM llmtower.leak_behind",
    "SELECT * FROM llmtower.leak_scalar",
    "SELECT * FROM llmtower.leak_parameter(id = 1)",
    "SELECT * FROM llmtower.leak_mv",
    "SELECT * FROM llmtower.everything",
    "SELECT 1 IN llmtower.everything",
    "SELECT * FROM llmtower.buffered",
    "SELECT * FROM llmtower.dict",
    # table functions
    "SELECT * FROM merge('llmtower', '.*')",
    "SELECT * FROM merge('llmtower', 'con.*')",
    "SELECT * FROM merge(REGEXP('.*'), '.*')",
    "SELECT * FROM view(SELECT * FROM llmtower.contents)",
    "SELECT * FROM viewIfPermitted(SELECT 1 ELSE null('a int'))",
    "SELECT * FROM remote('127.0.0.1', llmtower.contents)",
    "SELECT * FROM remoteSecure('127.0.0.1', 'llmtower', 'contents')",
    "SELECT * FROM cluster('default', llmtower.contents)",
    "SELECT * FROM dictionary('llmtower.dict')",
    "SELECT * FROM mergeTreeIndex('llmtower', 'contents')",
    "SELECT * FROM loop('llmtower', 'contents')",
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT * FROM file('*', 'LineAsString', 'x String')",
    "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
    "SELECT * FROM s3('http://127.0.0.1:1/x', 'CSV', 'a String')",
    "SELECT * FROM executable('id', 'TSV', 'a String')",
    "SELECT * FROM Python(engine)",
    "SELECT * FROM python(engine)",
    "SELECT * FROM sqlite('x.db', 't')",
    "SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
    "SELECT * FROM filesystem('/etc')",
    "SELECT * FROM format(CSV, '1,2')",
    "SELECT * FROM input('a String')",
    "SELECT * FROM generateRandom('a Int8') LIMIT 1",
    "SELECT 1 IN merge('llmtower', 'con.*')",
    # functions
    "SELECT dictGet('llmtower.dict', 'prompt', 1)",
    "SELECT dictGetOrDefault('llmtower.dict', 'prompt', 1, '')",
    "SELECT DICTGET('llmtower.dict', 'prompt', 1)",
    "SELECT dictHas('llmtower.dict', 1)",
    "SELECT leak_function(1)",
    "SELECT joinGet('llmtower.j', 'prompt', 1)",
    "SELECT file('/etc/passwd')",
    "SELECT hasColumnInTable('llmtower', 'contents', 'prompt')",
    "SELECT getServerSetting('path')",
    "SELECT getClientHTTPHeader('Authorization')",
    "SELECT showCertificate()",
    "SELECT demangle(addressToSymbol(1))",
    "SELECT aiGenerate('x')",
    "SELECT noSuchFunction(1)",
    # system tables
    "SELECT * FROM system.processes",
    "SELECT query FROM system.processes",
    "SELECT * FROM system.query_log",
    "SELECT * FROM system.parts",
    "SELECT last_error_message FROM system.errors",
    "SELECT * FROM system.server_settings",
    "SELECT * FROM system.user_query_log",
    "SELECT 'x' IN system.processes",
    "SELECT system.processes.query FROM system.one, system.processes",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM INFORMATION_SCHEMA.COLUMNS",
    "SELECT * FROM nosuch.table",
    # other statements
    "EXPLAIN SELECT (SELECT any(prompt) FROM llmtower.contents)",
    "EXPLAIN PLAN SELECT (SELECT any(prompt) FROM llmtower.contents)",
    "EXPLAIN SELECT 1",
    "EXPLAIN AST SELECT * FROM llmtower.contents",
    "SELECT * FROM (EXPLAIN SELECT (SELECT any(prompt) FROM llmtower.contents))",
    "DESCRIBE TABLE llmtower.contents",
    "DESCRIBE (SELECT prompt FROM llmtower.contents)",
    "DESCRIBE file('/etc/passwd')",
    "EXISTS TABLE llmtower.contents",
    "SHOW CREATE TABLE llmtower.contents",
    "SHOW PROCESSLIST",
    "SHOW TABLES WHERE name IN (SELECT prompt FROM llmtower.contents)",
    "SHOW TABLES FROM llmtower LIMIT (SELECT call_id FROM llmtower.contents)",
    "SHOW COLUMNS FROM llmtower.contents",
    "SHOW SETTINGS LIKE 'max%'",
    "CHECK TABLE llmtower.contents",
    "KILL QUERY WHERE 1",
    "SYSTEM FLUSH LOGS",
    "USE llmtower",
    "SET max_threads = 1",
    "GRANT SELECT ON *.* TO default",
    "EXECUTE AS default SELECT 1",
    "SELECT 1 PARALLEL WITH SELECT 2",
    # writes
    "INSERT INTO llmtower.calls VALUES (9, 'x', now(), 1)",
    "INSERT INTO llmtower.calls SELECT * FROM llmtower.calls",
    "INSERT INTO FUNCTION file('x.csv', 'CSV', 'a Int8') SELECT 1",
    "CREATE TABLE llmtower.t AS llmtower.contents",
    "CREATE VIEW llmtower.v AS SELECT * FROM llmtower.contents",
    "CREATE TABLE default.t ENGINE = Memory AS SELECT * FROM llmtower.contents",
    "DROP TABLE llmtower.calls",
    "TRUNCATE TABLE llmtower.calls",
    "ALTER TABLE llmtower.calls DELETE WHERE 1",
    "DELETE FROM llmtower.calls WHERE 1",
    "OPTIMIZE TABLE llmtower.calls FINAL",
    "RENAME TABLE llmtower.contents TO llmtower.c2",
    "BACKUP TABLE llmtower.contents TO Disk('x', 'y')",
    # settings
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1 SETTINGS max_execution_time = 0",
    "SELECT 1 SETTINGS max_memory_usage = 0",
    "SELECT 1 SETTINGS max_execution_time = 121",
    "SELECT 1 SETTINGS max_execution_time = '10'",
    "SELECT 1 SETTINGS max_execution_time = -1",
    "SELECT 1 SETTINGS max_execution_time = 1e9",
    "SELECT 1 SETTINGS max_execution_time = 120.5",
    "SELECT 1 SETTINGS max_execution_time = 10, max_memory_usage = 99999999999",
    "SELECT * FROM (SELECT 1 SETTINGS max_execution_time = 10) SETTINGS max_execution_time = 0",
    "SELECT * FROM (SELECT 1 SETTINGS allow_introspection_functions = 1)",
    "SELECT count() FROM llmtower.calls SETTINGS additional_table_filters = {'llmtower.calls': 'call_id IN (SELECT 1)'}",
    "SELECT 1 SETTINGS max_threads = 1, output_format_schema = '/tmp/x.proto' FORMAT JSON",
    "SELECT 1 SETTINGS max_threads = 1 UNION ALL SELECT 2 SETTINGS format_schema = 'x'",
)

MALFORMED = (
    ("SELECT 1; SELECT * FROM llmtower.contents", 62),
    ("SELECT 1;;SELECT 2", 62),
    ("SELECT 1 -- \n; DROP TABLE llmtower.calls", 62),
    ("SELECT * FROM llmtower.calls INTO OUTFILE '/tmp/x'", 48),
    ("SELECT 1 into\n/* */ outfile '/tmp/x' FORMAT CSV", 48),
    ("INSERT INTO llmtower.calls FROM INFILE '/etc/passwd' FORMAT CSV", 48),
    ("CREATE TEMPORARY TABLE t AS SELECT * FROM llmtower.contents", 48),
    ("throwIf(1)", 62),
    ("SELECT 'open", 62),
    ("", 62),
    ("-- only a comment", 62),
)

ALLOWED = (
    ("SELECT 1", "1"),
    ("SELECT count(), sum(cost_nano_usd) FROM llmtower.calls", "2\t1500"),
    ("SELECT sum(n) FROM llmtower.rollup", "2"),
    ("SELECT sum(n) FROM llmtower.rollup_mv", "2"),
    ("SELECT reason FROM llmtower.dead_letters", "bad json"),
    ("SELECT * FROM llmtower.spend", "shop\t1500"),
    ("SELECT * FROM llmtower.spend_again", "shop\t1500"),
    ("WITH x AS (SELECT call_id FROM llmtower.calls) SELECT max(call_id) FROM x", "2"),
    ("WITH x(a) AS (SELECT 7), y AS (SELECT a FROM x) SELECT * FROM y", "7"),
    ("WITH (SELECT max(call_id) FROM llmtower.calls) AS m SELECT m", "2"),
    ("SELECT c.project FROM llmtower.calls AS c JOIN llmtower.calls AS d USING call_id LIMIT 1", "shop"),
    ("SELECT call_id FROM llmtower.calls WHERE call_id IN (SELECT max(call_id) FROM llmtower.calls)", "2"),
    ("SELECT sumIf(call_id, project = 'shop'), quantileTDigest(0.5)(call_id) FROM llmtower.calls", "3\t1"),
    ("SELECT toStartOfInterval(started_at, INTERVAL 1 HOUR) AS t, countIf(isNull(cost_nano_usd)) FROM llmtower.calls GROUP BY t", None),
    (
        "SELECT toStartOfMinute(started_at) AS t, count() FROM llmtower.calls GROUP BY t ORDER BY t WITH FILL STEP INTERVAL 1 MINUTE",
        None,
    ),
    ("SELECT finalizeAggregation(sumForEachState([1, 2]))", "[1,2]"),
    ("SELECT L2SquaredDistance([1., 2.], [1., 4.])", "4"),
    ("SELECT number FROM numbers(2)", "0\n1"),
    ("SELECT * FROM values('a Int8, b String', (1, 'x'))", "1\tx"),
    ("SELECT * EXCEPT (cost_nano_usd) FROM llmtower.calls LIMIT 1 FORMAT CSV", None),
    ("SELECT 1 SETTINGS max_threads = 1", "1"),
    ("SELECT 1 SETTINGS max_execution_time = 10", "1"),
    ("SELECT 1 SETTINGS max_execution_time=120, max_memory_usage = 1000000, max_threads = 1 FORMAT TSV", "1"),
    ("SELECT 1 SETTINGS max_threads = 1, join_use_nulls = 1 FORMAT TSV", "1"),
    ("SELECT 'a;b -- not a comment', `call_id` FROM llmtower.calls LIMIT 1;", "a;b -- not a comment\t1"),
    ("SELECT 'prompts of contents and system.processes'", "prompts of contents and system.processes"),
    ("SELECT row_number() OVER (PARTITION BY project ORDER BY call_id) FROM llmtower.calls ORDER BY 1", "1\n2"),
    ("SELECT arrayMap(x -> x * 2, [1, 2]), map('a', 1)['a'], [10, 20][2], (1, 'x').2", "[2,4]\t1\t20\tx"),
    ("SELECT 1 UNION DISTINCT SELECT 1", "1"),
    ("SHOW TABLES FROM llmtower LIKE 'call%'", "calls"),
    ("SHOW DATABASES LIKE 'llmtower'", "llmtower"),
    ("EXISTS TABLE llmtower.calls", "1"),
    ("DESCRIBE TABLE llmtower.rollup", None),
    ("DESC (SELECT 1 AS a)", None),
    ("SELECT version() != '', timezone() != ''", "1\t1"),
    ("SELECT name FROM system.databases WHERE name = 'llmtower'", "llmtower"),
    ("SELECT name FROM system.columns WHERE table = 'calls' AND name = 'project'", "project"),
    ("SELECT count() > 100 FROM system.settings", "1"),
    ("SELECT count() > 100 FROM system.functions", "1"),
)


@dataclass(frozen=True)
class Readers:
    """One client per role."""

    writer: Raw
    content: Raw
    dashboards: Raw
    anonymous: Raw


@pytest.fixture(scope="module")
def readers(shared_engine: EngineProcess) -> Iterator[Readers]:
    """The three roles on a database with a secret in it."""

    def client(role: Role) -> Raw:
        return Raw(shared_engine.host, shared_engine.port, role.value, shared_engine.credentials.password(role))

    writer = client(Role.WRITER)
    for statement in SCHEMA:
        writer.ok(statement)
    yield Readers(writer, client(Role.CONTENT), client(Role.DASHBOARDS), Raw(shared_engine.host, shared_engine.port))
    for statement in ("DROP FUNCTION leak_function", "DROP DATABASE llmtower", "DROP TABLE default.copy"):
        writer.ok(statement)


@pytest.mark.parametrize("sql", REFUSED)
def test_dashboards_reader_is_refused(readers: Readers, sql: str) -> None:
    response = readers.dashboards.send(sql)
    assert (response.status, response.code) == (403, 497), response.text
    assert SECRET not in response.text


@pytest.mark.parametrize(("sql", "code"), MALFORMED)
def test_what_is_not_one_statement_is_refused_for_every_role(readers: Readers, sql: str, code: int) -> None:
    for client in (readers.dashboards, readers.content, readers.writer):
        response = client.send(sql)
        assert response.code == code, response.text
        assert SECRET not in response.text


@pytest.mark.parametrize(("sql", "expected"), ALLOWED)
def test_dashboards_reader_is_served(readers: Readers, sql: str, expected: str | None) -> None:
    response = readers.anonymous.send(sql)
    assert response.status == 200, response.text
    if expected is not None:
        assert response.text == expected


def test_comments_case_and_spaces_are_no_disguise(readers: Readers) -> None:
    for sql in REFUSED:
        pieces = [token.text for token in tokens(sql.encode())]
        for variant in (
            b"/* x */".join(pieces),
            b" -- x\n".join(pieces),
            b"\t\n\r ".join(pieces),
            b"(" + sql.encode() + b")",
            sql.swapcase(),
        ):
            response = readers.dashboards.send(variant)
            assert response.status >= 400, (variant, response.text)
            assert SECRET in sql or SECRET not in response.text, variant


def test_the_corpus_is_large_enough() -> None:
    assert len(set(REFUSED)) >= 100


def test_content_reader_sees_all_our_tables_and_nothing_else(readers: Readers) -> None:
    for sql in (
        "SELECT DISTINCT prompt FROM llmtower.contents",
        "SELECT raw FROM llmtower.dead_letter_bytes",
        "SELECT DISTINCT prompt FROM llmtower.leak_behind",
        "WITH contents AS (SELECT DISTINCT prompt FROM llmtower.contents) SELECT * FROM contents",
    ):
        assert readers.content.ok(sql) == SECRET
    for sql in (
        "SELECT * FROM default.copy",
        "SELECT * FROM merge('llmtower', 'con.*')",
        "SELECT * FROM system.processes",
        "INSERT INTO llmtower.calls VALUES (9, 'x', now(), 1)",
        "DROP TABLE llmtower.calls",
        "SELECT dictGet('llmtower.dict', 'prompt', 1)",
    ):
        response = readers.content.send(sql)
        assert response.code == 497, sql
        assert SECRET not in response.text


def test_parameters_are_values_not_names(readers: Readers) -> None:
    assert readers.dashboards.ok("SELECT {x:String}", param_x="contents") == "contents"
    response = readers.dashboards.send("SELECT * FROM {t:Identifier}", params={"param_t": "contents", "database": "llmtower"})
    assert response.code == 497
    response = readers.dashboards.send("SELECT 'TOPSECRET' IN {t:Identifier}", params={"param_t": "copy"})
    assert response.code == 497


def test_an_approved_statement_is_judged_again_after_a_schema_change(readers: Readers) -> None:
    readers.writer.ok("CREATE VIEW llmtower.moving AS SELECT 'harmless' AS x")
    assert readers.dashboards.ok("SELECT * FROM llmtower.moving") == "harmless"
    readers.writer.ok("CREATE OR REPLACE VIEW llmtower.moving AS SELECT prompt AS x FROM llmtower.contents")
    response = readers.dashboards.send("SELECT * FROM llmtower.moving")
    assert response.code == 497
    assert SECRET not in response.text
    readers.writer.ok("DROP VIEW llmtower.moving")


def test_the_current_database_decides_what_a_bare_name_means(readers: Readers) -> None:
    assert readers.dashboards.ok("SELECT count() FROM calls", database="llmtower") == "2"
    assert readers.dashboards.send("SELECT 'x' IN (copy)", params={"database": "default"}).code == 497
    for name in ("contents", "copy", "everything"):
        for database in ("llmtower", "default"):
            response = readers.dashboards.send(f"SELECT * FROM {name}", params={"database": database})
            assert response.status >= 400, (name, database)
            assert SECRET not in response.text
    response = readers.dashboards.send("SELECT * FROM processes", params={"database": "system"})
    assert response.code == 497


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("readonly", "0"),
        ("allow_introspection_functions", "1"),
        ("additional_table_filters", "{'llmtower.calls': '1'}"),
        ("format_schema", "x"),
        ("output_format_schema", "/tmp/x"),
        ("implicit_select", "1"),
        ("max_result_bytes", "0"),
        ("no_such_setting", "1"),
        ("format_template_resultset", "/etc/passwd"),
    ],
)
def test_readers_may_not_set(readers: Readers, name: str, value: str) -> None:
    assert readers.dashboards.send("SELECT 1", params={name: value}).code == 164


def test_readers_limits_can_only_be_lowered(readers: Readers) -> None:
    assert readers.dashboards.ok("SELECT getSetting('max_execution_time')", max_execution_time="7") == "7"
    for value in ("0", "100000"):
        assert readers.dashboards.ok("SELECT getSetting('max_execution_time')", max_execution_time=value) == "120"
    response = readers.dashboards.send("SELECT count() FROM numbers(1000000000000)", params={"max_execution_time": "1"})
    assert response.code == 159
    assert response.status == 408


def test_the_engine_itself_is_read_only_behind_the_guard(readers: Readers) -> None:
    """The second wall: GET by the writer runs unguarded on the readers' connections."""
    response = readers.writer.get("CREATE TABLE llmtower.t (a Int8) ENGINE = Memory")
    assert (response.status, response.code) == (403, 164)
    assert readers.dashboards.ok("SELECT getSetting('readonly')") == "2"
