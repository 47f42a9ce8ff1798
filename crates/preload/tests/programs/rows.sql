-- 200 000 rows, three indexes, sorts and joins that need memory, half of it deleted.
PRAGMA cache_size = -65536;
PRAGMA temp_store = MEMORY;
CREATE TABLE rows(id INTEGER PRIMARY KEY, name TEXT, weight REAL, note TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
INSERT INTO rows SELECT i, printf('name-%06d', (i * 7919) % 200003), (i * 31 % 1009) / 7.0, hex(zeroblob(i % 97)) FROM n;
CREATE INDEX by_name ON rows(name);
CREATE INDEX by_weight ON rows(weight, name);
CREATE INDEX by_note ON rows(length(note), id);
SELECT count(*), sum(length(note)), round(sum(weight), 3) FROM rows;
SELECT name, weight FROM rows ORDER BY weight DESC, name LIMIT 20;
SELECT a.id, b.id FROM rows a JOIN rows b ON b.name = printf('name-%06d', a.id) WHERE a.id % 9973 = 0;
SELECT length(note) / 20 AS bucket, count(*), group_concat(substr(name, 6), ',') FROM (SELECT * FROM rows WHERE id % 1999 = 0 ORDER BY id) GROUP BY bucket;
DELETE FROM rows WHERE id % 2;
REINDEX;
SELECT count(DISTINCT name), min(name), max(name) FROM rows;
PRAGMA integrity_check;
