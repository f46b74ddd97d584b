-- What became of retries: the lines $1 of the log get the outcomes $2.
update outbox.dead_letter_log as log
set outcome = news.outcome
from unnest($1::bigint[], $2::text[]) as news (id, outcome)
where log.id = news.id
