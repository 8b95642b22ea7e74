truncate shops, items, notes, pairs, archive.items;
insert into shops values (1, 'North'), (2, 'South');
insert into items (id, name, kind, price, shop_id, code, tags, data, shown, words, embedding, sold) values
  (1, 'Axe', 'tool', 10, 1, 'a1', '{iron,wood}', '{"size":{"cm":[30,5]},"on":true}', '[1,5)', to_tsvector('english', 'iron axe'), '[1,0]', true),
  (2, 'Bell', 'toy', 20, 1, 'b2', '{iron}', '{"size":{"cm":[7]}}', '[5,9)', to_tsvector('english', 'loud bell'), '[0,1]', false),
  (3, 'Cup', 'tool', 5.5, 2, 'c3', '{clay}', null, '[20,30)', to_tsvector('english', 'clay cup'), '[0.6,0.8]', null),
  (4, 'Drum', 'toy', null, null, null, null, null, null, null, null, false);
insert into notes values (1, '00000000-0000-0000-0000-0000000000aa', 'mine'), (2, '00000000-0000-0000-0000-0000000000bb', 'theirs');
insert into pairs values (1, 1), (1, 2);
insert into archive.items values (1, 'Old axe'), (2, 'Old bell');
