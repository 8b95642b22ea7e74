-- The rows of the cases; run again after each case that could have changed them.
truncate directors, films, actors, castings, reviews, posters, employees, cities, trips, hotels, rooms, screenings, "odd names", archive.films;

insert into directors values (1, 'Varda', '1928-05-30'), (2, 'Akerman', '1950-06-06'), (3, 'Vigo', '1905-04-26');
insert into films values
  (1, 'Cleo', 1962, 7.8, 1, '{"mood": {"tone": "calm"}, "stars": [5, 4], "n": "10"}', '{paris,day}', '[1,10)', to_tsvector('english', 'a singer walks in Paris'), (16, 9), true),
  (2, 'Vagabond', 1985, 7.7, 1, '{"mood": {"tone": "cold"}, "stars": [3], "n": "2"}', '{road}', '[10,20)', to_tsvector('english', 'a woman walks the roads'), (4, 3), true),
  (3, 'Jeanne', 1975, 7.5, 2, '{"mood": {"tone": "slow"}}', '{brussels,day}', '[5,15)', to_tsvector('english', 'three days in Brussels'), (4, 3), false),
  (4, 'Untitled', null, null, null, null, null, null, null, null, null);
insert into actors values (1, 'Marchand'), (2, 'Bonnaire'), (3, 'Seyrig');
insert into castings values (1, 1, 'Cleo'), (2, 2, 'Mona'), (3, 3, 'Jeanne'), (3, 2, 'extra');
insert into reviews values (1, 1, 5, 'great'), (2, 1, 3, 'fine'), (3, 2, 4, 'good'), (4, 3, 2, 'long');
insert into posters values (1, 'Blanc'), (2, 'Noir');
insert into employees values (1, 'Ada', null), (2, 'Bo', 1), (3, 'Cy', 1), (4, 'Di', 2);
insert into cities values (1, 'Lyon'), (2, 'Nice'), (3, 'Metz');
insert into trips values (1, 1, 2), (2, 2, 3);
insert into hotels values (1, 'Ritz'), (2, 'Savoy');
insert into rooms values (1, 1, 101), (2, 2, 201);
insert into screenings values (1, '2001-02-03', 1), (2, '2002-03-04', 1), (3, '2002-05-06', 2);
insert into "odd names" values (1, 11, 12, 13, 14, 15, 16, 17), (2, 21, 22, 23, 24, 25, 26, 27);
insert into archive.films values (1, 'Old Cleo');
