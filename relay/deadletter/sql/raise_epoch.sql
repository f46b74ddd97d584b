-- The leading relay reads everything again. It is done first, for whoever else works on the outbox by hand then waits here, and
-- no two of them lock the same rows in different orders.
update outbox.control set epoch = epoch + 1
