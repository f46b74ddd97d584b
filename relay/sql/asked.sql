-- What operators have done about dead letters since the line $1 of the log.
select action, actor, count(*)
from outbox.dead_letter_log
where id > $1
group by action, actor
order by min(id)
