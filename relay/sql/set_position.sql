-- The relay has looked at stream $2 of broker $1, and has dealt with everything in it up to sequence $4.
insert into outbox.positions (broker, stream, incarnation, last_sequence) values ($1, $2, $3, $4)
