-- The leading relay reads everything again.
update outbox.control set epoch = epoch + 1
