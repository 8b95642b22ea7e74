"""`make bench`: the shipped program beside a bare server and pgbench, in one run on one machine."""
