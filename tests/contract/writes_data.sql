-- The rows of the cases of writes.
truncate items, accounts, pairs, loose, parts, owned, deferred, defaults, keyed_always restart identity;
insert into items (id, name, price, tags, meta, shown) values
  (1, 'pen', 2, '{blue,thin}', '{"a": 1}', 255), (2, 'book', 20, null, null, 16711680), (3, 'lamp', 7.5, '{}', '{"a": 2}', null);
alter sequence items_id_seq restart with 100;
insert into accounts values (1, 'ann@x', 'Ann'), (2, 'bob@x', 'Bob'), (3, 'cy@x', null);
insert into pairs values (1, 'x', 'one'), (1, 'y', 'two'), (2, 'x', 'three');
insert into loose values ('a', 1), ('b', 2);
insert into parts values (1, 1, 'cap'), (2, 1, 'ink'), (3, 2, 'cover');
insert into owned values (1, 'mine');
