create table t (n int, text text);
insert into t select i, repeat('row ' || i % 97, 1 + i % 20) from generate_series(1, 30000) i;
create index t_text on t (text, n);
analyze t;
select count(*), sum(length(text)) from t;
select a.n from t a join t b on a.text = b.text and b.n = a.n + 97 * 20 order by a.n desc limit 3;
select md5(string_agg(text, ',' order by n)) from t;
delete from t where n % 3 = 0;
select count(distinct text) from t;
