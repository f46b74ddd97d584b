-- Receipts of generation $1 cover only rows that are the acknowledged ones, from now on.
update outbox.receipts set generation = 0 where generation = $1::bigint
