package relay

import (
	"context"
	_ "embed" // the statement is a file
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/check.sql
	checkSQL string
	//go:embed sql/check_session.sql
	checkSessionSQL string
	//go:embed sql/check_sequence.sql
	checkSequenceSQL string
	//go:embed sql/warnings.sql
	warningsSQL string
)

// Problem says in one word what [Check] found.
type Problem string

// The problems that [Check] finds.
const (
	ProblemUnreachable Problem = "unreachable"    // the database did not answer
	ProblemNoSchema    Problem = "no_schema"      // the outbox was never created in this database
	ProblemOldSchema   Problem = "old_schema"     // older than this program needs
	ProblemNewSchema   Problem = "new_schema"     // newer than this program knows
	ProblemNoRight     Problem = "no_right"       // the role may not do what a relay does
	ProblemCache       Problem = "sequence_cache" // ids are drawn in blocks, so order and gaps cannot be told
	ProblemReadOnly    Problem = "read_only"      // the server is a standby
	ProblemSession     Problem = "session"        // a pooler's sessions have settings that the relay cannot work with
	ProblemHidden      Problem = "row_security"   // the role does not see every event
	ProblemNoIndex     Problem = "no_index"       // every look would read the whole table
	ProblemTrigger     Problem = "delete_trigger" // a trigger may keep what the relay removes
	ProblemSequence    Problem = "sequence"       // ids are drawn that lie before those in use
)

// CheckError says why a database cannot be relayed from, and what to do about it.
type CheckError struct {
	Problem Problem
	Text    string // what is wrong
	Next    string // the next step for an operator
	Err     error  // the cause, where there is one
}

func (e *CheckError) Error() string {
	if e.Err != nil {
		return e.Text + ": " + e.Err.Error()
	}
	return e.Text
}

func (e *CheckError) Unwrap() error { return e.Err }

// checked is the row of sql/check.sql.
type checked struct {
	MayUseSchema, HasEvents, HasVersion                           bool
	MayReadEvents, MayBuryEvents, MayReadVersion, MayReadSequence bool
	MayWriteReceipts, MayHoldKeys, MayLead, HasIndex              bool
	DeleteTrigger                                                 *string
	SequenceCache                                                 int64
	Role, Database                                                string
	IsStandby                                                     bool
}

// Check reports whether a relay that knows the schema up to version can work with a database: a pool or a connection. A non-nil
// error is a [*CheckError].
func Check(ctx context.Context, db Queryer, version int64) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	db = Pin(db)
	rows, err := db.Query(ctx, checkSQL)
	if err != nil {
		return unreachable(err)
	}
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[checked])
	if err != nil {
		return unreachable(err)
	}
	if problem := found.problem(); problem != nil {
		return problem
	}
	if err := checkHidden(ctx, db); err != nil {
		return err
	}
	if err := checkSession(ctx, db); err != nil {
		return err
	}
	if err := checkVersion(ctx, db, version); err != nil {
		return err
	}
	return checkSequence(ctx, db)
}

// Warnings returns what an operator should know of an outbox although it is no reason not to relay from it, a sentence each
// that ends in the next step.
func Warnings(ctx context.Context, db Queryer) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := Pin(db).Query(ctx, warningsSQL)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func unreachable(err error) error {
	return &CheckError{
		Problem: ProblemUnreachable, Text: "the database does not answer", Err: err,
		Next: "check postgres.url, and that the server runs and accepts connections from here",
	}
}

// problem returns what is wrong, the most fundamental thing first; nil if nothing is.
func (c checked) problem() *CheckError {
	grant := fmt.Sprintf("as the owner of the schema, run: select outbox.grant_relay('%s')", regrole(c.Role))
	lacks := func(right string) *CheckError {
		return &CheckError{Problem: ProblemNoRight, Text: fmt.Sprintf("role %q may not %s", c.Role, right), Next: grant}
	}
	switch {
	case c.IsStandby:
		return &CheckError{
			Problem: ProblemReadOnly, Text: fmt.Sprintf("database %q is a standby, where nothing can be settled", c.Database),
			Next: "let postgres.url name the primary, for instance with target_session_attrs=read-write",
		}
	case c.HasVersion && !c.MayUseSchema:
		return lacks("use schema outbox")
	case !c.HasEvents:
		return &CheckError{
			Problem: ProblemNoSchema, Text: fmt.Sprintf("database %q has no table outbox.events", c.Database),
			Next: "run: outbox-relay migrate up",
		}
	case !c.MayReadEvents:
		return lacks("select and delete outbox.events")
	case !c.MayBuryEvents:
		return lacks("insert into outbox.dead_letters and select from it")
	case !c.MayReadSequence:
		return lacks("select from outbox.events_id_seq")
	case !c.MayWriteReceipts:
		return lacks("write receipts")
	case !c.MayHoldKeys:
		return lacks("hold keys")
	case !c.MayLead:
		return lacks("take the lease")
	case c.HasVersion && !c.MayReadVersion:
		return lacks("select from outbox.schema_version")
	case c.SequenceCache != 1:
		return &CheckError{
			Problem: ProblemCache, Text: fmt.Sprintf("sequence outbox.events_id_seq has CACHE %d, which breaks the order of events", c.SequenceCache),
			Next: "run: alter sequence outbox.events_id_seq cache 1",
		}
	case !c.HasIndex:
		return &CheckError{
			Problem: ProblemNoIndex, Text: "outbox.events has no valid primary key on id, so every look would read the whole table",
			Next: "run: alter table outbox.events add primary key (id)",
		}
	case c.DeleteTrigger != nil:
		return &CheckError{
			Problem: ProblemTrigger, Text: fmt.Sprintf("trigger %q runs before rows of outbox.events are deleted: a row that it kept would "+
				"be published again", *c.DeleteTrigger),
			Next: fmt.Sprintf("run: drop trigger %s on outbox.events", pgx.Identifier{*c.DeleteTrigger}.Sanitize()),
		}
	}
	return nil
}

// checkSession refuses settings that cannot be changed from here, because the sessions are those of a pooler.
func checkSession(ctx context.Context, db Queryer) error {
	rows, err := db.Query(ctx, checkSessionSQL)
	if err != nil {
		return unreachable(err)
	}
	type setting struct{ Name, Value, Wanted, Role, Database string }
	wrong, err := pgx.CollectRows(rows, pgx.RowToStructByPos[setting])
	if err != nil {
		return unreachable(err)
	}
	if len(wrong) == 0 {
		return nil
	}
	var found, remedies []string
	for _, s := range wrong {
		found = append(found, fmt.Sprintf("%s is %q, and the relay needs %q", s.Name, s.Value, s.Wanted))
		remedies = append(remedies, fmt.Sprintf("alter role %s in database %s set %s = '%s'", s.Role, s.Database, s.Name, s.Wanted))
	}
	return &CheckError{
		Problem: ProblemSession, Text: "behind a pooler the sessions of the server have settings of their own: " + strings.Join(found, "; "),
		Next: "connect to the server itself, or run: " + strings.Join(remedies, "; ") + "; then let the pooler open new sessions (RECONNECT in PgBouncer)",
	}
}

var plainName = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// regrole writes the name of a role as it stands between the quotes of a regrole.
func regrole(role string) string {
	if plainName.MatchString(role) {
		return role
	}
	return strings.ReplaceAll(pgx.Identifier{role}.Sanitize(), "'", "''")
}

// checkVersion compares the schema's version with the one that this program was built for.
func checkVersion(ctx context.Context, db Queryer, want int64) error {
	rows, err := db.Query(ctx, "select coalesce(max(version_id), 0) from outbox.schema_version where is_applied")
	if err != nil {
		return unreachable(err)
	}
	have, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int64])
	switch {
	case err != nil:
		return unreachable(err)
	case have < want:
		return &CheckError{
			Problem: ProblemOldSchema, Text: fmt.Sprintf("schema outbox has version %d, this program needs %d", have, want),
			Next: "run: outbox-relay migrate up",
		}
	case have > want:
		return &CheckError{
			Problem: ProblemNewSchema, Text: fmt.Sprintf("schema outbox has version %d, this program knows versions up to %d", have, want),
			Next: "use a newer outbox-relay: an older one could misread the table",
		}
	}
	return nil
}

// checkSequence refuses a sequence whose last id is below that of a row, as after a restore or a switch to a logical replica,
// which copies no sequences. New events would get ids that are taken, and ids that come before those of older events. Receipts
// above it do not matter: they cover only the events that they name.
func checkSequence(ctx context.Context, db Queryer) error {
	rows, err := db.Query(ctx, checkSequenceSQL)
	if err != nil {
		return unreachable(err)
	}
	var drawn, used int64
	if _, err := pgx.ForEachRow(rows, []any{&drawn, &used}, func() error { return nil }); err != nil {
		return unreachable(err)
	}
	if drawn >= used {
		return nil
	}
	next := fmt.Sprintf("run: select setval('outbox.events_id_seq', %d); events wait until then, and none is lost", used)
	if used > lastUsableID {
		next = moveLastIDs(drawn)
	}
	return &CheckError{
		Problem: ProblemSequence,
		Text: fmt.Sprintf("sequence outbox.events_id_seq is at %d, but id %d is in use: writers get errors, or ids out of order",
			drawn, used),
		Next: next,
	}
}

// lastUsableID is the highest id after which a sequence may go on. After higher ones too few are left:
// the sequence ends at 1<<62 - 1, and every writer would fail from there on.
const lastUsableID int64 = 1<<62 - 1<<40

// moveLastIDs returns the step that gives new ids to the events above [lastUsableID]. Those with a receipt
// were published, and are only deleted. A sequence that is among these ids is set back first.
func moveLastIDs(drawn int64) string {
	const move = "with moved as (delete from outbox.events where id > %[1]d returning *) " +
		"insert into outbox.events (event_id, subject, key, headers, payload, created_at) " +
		"select event_id, subject, key, headers, payload, created_at from moved where not exists (" +
		"select from outbox.receipts as r, outbox.acknowledged(r.ids, r.event_ids) as a " +
		"where r.ids @> moved.id and a.id = moved.id and a.event_id = moved.event_id) order by id"
	const setBack = "select setval('outbox.events_id_seq', " +
		"(select coalesce(max(id), 1) from outbox.events where id between 1 and %[1]d)); "
	format := move
	if drawn > lastUsableID {
		format = setBack + move
	}
	return "no ids are left after that one: give its event, and others at the end of the ids, the next ones; " +
		"as the owner of the schema, run: " + fmt.Sprintf(format, lastUsableID)
}
