-- A table filled, indexed, grouped, joined and thinned out, in memory.
PRAGMA temp_store = memory;
CREATE TABLE item (id INTEGER PRIMARY KEY, kind TEXT, body TEXT, weight INTEGER);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 90000)
INSERT INTO item
SELECT i, 'kind' || (i * 7919 % 97), substr(hex(i * 2654435761 % 4294967296) || hex(i * 40503), 1, 10 + i % 50),
       i * 31 % 1009 FROM n;
CREATE INDEX by_kind ON item (kind, weight);
SELECT count(*), sum(w) FROM (SELECT kind, body, sum(weight) AS w FROM item GROUP BY kind, substr(body, 1, 3));
SELECT count(*) FROM item a JOIN item b ON a.kind = b.kind AND b.weight = a.weight + 1 WHERE a.id < 9000;
DELETE FROM item WHERE weight % 3 = 0;
SELECT kind, group_concat(substr(body, 1, 2)) AS g FROM item WHERE id < 20000 GROUP BY kind ORDER BY length(g) DESC LIMIT 1;
SELECT sum(length(body)) FROM (SELECT body FROM item ORDER BY body || kind);
